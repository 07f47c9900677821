package apiserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// Bounds of what nodes are asked for at each request. Nodes are asked at once, so a slow one costs the others nothing.
const (
	maxAsks     = 256             // questions to nodes under way, of all requests together
	askTimeout  = 3 * time.Second // for one node to answer
	askAllLimit = 6 * time.Second // for the whole request
	maxNamed    = 3               // nodes without an answer that a warning names
	maxReason   = 200             // bytes of what a node says for itself
)

// Why a node has no answer, for the user.
var (
	errSlow = fmt.Errorf("it has not answered within %s", askTimeout)
	errLate = errors.New("too many nodes are being asked at the moment")
	errAway = errors.New("it does not answer")
)

// measured answers get and list of PodMetrics: which pods there are says the store, what they use their nodes.
func (c *call) measured() error {
	release, err := c.limits.watch() // it may last
	if err != nil {
		return err
	}
	defer release()
	if c.Streams == nil {
		return apierrors.NewServiceUnavailable("this master has no connection to its nodes")
	}
	ctx, stop := c.untilEnding()
	defer stop()
	pods := *c
	pods.res = resource.Pods
	if c.verb == verbGet {
		return c.getMeasured(ctx, &pods)
	}
	opts, err := c.listOptions()
	if err != nil {
		return err
	}
	f, err := c.format(asTable, asPartialList)
	if err != nil {
		return err
	}
	sel, err := pods.selection(opts)
	if err != nil {
		return err
	}
	view, from, err := pods.viewFor(opts)
	if err != nil {
		return err
	}
	page, meta, err := pods.page(view, sel, from, opts.Limit)
	if err != nil {
		return err
	}
	found, failed, err := c.measure(ctx, page)
	if err != nil {
		return err
	}
	c.warn(unanswered(failed))
	rendered := *c.res
	rendered.Render = func(rec change.Record) resource.Object {
		if m := found[rec.Key]; m != nil {
			return m
		}
		return nil
	}
	answer := *c
	answer.res = &rendered
	return answer.writeList(http.StatusOK, f, meta, page)
}

// getMeasured answers for one pod; where there are no figures it says why.
func (c *call) getMeasured(ctx context.Context, pods *call) error {
	f, err := c.format(asTable, asPartial)
	if err != nil {
		return err
	}
	o, rec, err := pods.loadRecord()
	if err != nil {
		return err
	}
	found, failed, err := c.measure(ctx, []change.Record{rec})
	if err != nil {
		return err
	}
	if m := found[rec.Key]; m != nil {
		return c.answer(http.StatusOK, f, part{}, m)
	}
	pod := o.(*corev1.Pod)
	why := "none of its containers runs"
	if pod.Spec.NodeName == "" {
		why = "it has no node yet"
	} else if err := failed[pod.Spec.NodeName]; err != nil {
		why = fmt.Sprintf("node %s: %v", pod.Spec.NodeName, err)
	}
	missing := apierrors.NewNotFound(c.groupResource(), c.name)
	missing.ErrStatus.Message = fmt.Sprintf("there are no metrics of pod %s: %s", c.name, why)
	return missing
}

// unanswered is the warning that some nodes' pods are missing; none where none are.
func unanswered(failed map[string]error) []string {
	if len(failed) == 0 {
		return nil
	}
	var words []string
	for _, node := range slices.Sorted(maps.Keys(failed)) {
		if len(words) == maxNamed {
			words = append(words, fmt.Sprintf("and of %d more nodes", len(failed)-maxNamed))
			break
		}
		words = append(words, fmt.Sprintf("of node %s: %v", node, failed[node]))
	}
	return []string{"there are no metrics " + strings.Join(words, "; ")}
}

// measure asks the pods' nodes. found has the pods whose nodes know what they use, failed the nodes that did not
// answer.
func (c *call) measure(ctx context.Context, page []change.Record) (found map[change.Key]resource.Object, failed map[string]error, err error) {
	onNode := map[string][]*corev1.Pod{}
	for _, rec := range page {
		pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
		if err != nil {
			return nil, nil, err
		}
		if ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed; pod.Spec.NodeName != "" && !ended {
			onNode[pod.Spec.NodeName] = append(onNode[pod.Spec.NodeName], pod)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, askAllLimit, errLate)
	defer cancel()
	found, failed = map[change.Key]resource.Object{}, map[string]error{}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for node, pods := range onNode {
		select {
		case c.asks <- struct{}{}:
		case <-ctx.Done():
			mu.Lock()
			failed[node] = errLate
			mu.Unlock()
			continue
		}
		asked.Go(func() {
			defer func() { <-c.asks }()
			uid := ""
			if len(pods) == 1 {
				uid = string(pods[0].UID)
			}
			report, err := c.ask(ctx, node, uid)
			ended := c.Clock().Wall
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[node] = err
				return
			}
			used := index(report)
			for _, pod := range pods {
				if use := useOf(pod, used); len(use) > 0 {
					found[resource.Pods.Key(pod.Namespace, pod.Name)] = resource.NewPodMetrics(pod, ended, report.Window(), use)
				}
			}
		})
	}
	asked.Wait()
	return found, failed, nil
}

// ask opens one stream to a node and reads its report.
func (c *call) ask(ctx context.Context, node, uid string) (stream.UsageReport, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errSlow)
	defer cancel()
	conn, err := c.Streams.Open(ctx, node, stream.Open{
		Kind: stream.Usage, UID: uid,
		KeepAlive: uint32(c.StreamKeepAlive / time.Millisecond), Patience: uint32(c.StreamPatience / time.Millisecond),
	})
	if err != nil {
		return stream.UsageReport{}, reason(err)
	}
	defer conn.Close(stream.End{})
	var all []byte
	for {
		_, data, err := conn.Read()
		switch {
		case ctx.Err() != nil:
			return stream.UsageReport{}, context.Cause(ctx)
		case isEOF(err):
			return stream.DecodeUsage(all)
		case err != nil:
			return stream.UsageReport{}, reason(err)
		case len(all)+len(data) > stream.MaxUsage:
			return stream.UsageReport{}, errors.New("the answer is too large")
		}
		all = append(all, data...)
	}
}

// reason is why a node has no answer, bounded: in its own words, as an agent that is too old for the question has
// them, or that it can't be reached.
func reason(err error) error {
	var ended *stream.Error
	if !errors.As(err, &ended) || ended.Code == "" {
		return errAway
	}
	return errors.New(ended.Text[:min(len(ended.Text), maxReason)])
}

// place is one container of a node.
type place struct{ uid, container string }

func index(report stream.UsageReport) map[place]stream.ContainerUsage {
	used := make(map[place]stream.ContainerUsage, len(report.Containers))
	for _, u := range report.Containers {
		used[place{u.UID, u.Container}] = u
	}
	return used
}

// useOf is what a pod's containers use, in the order of the pod.
func useOf(pod *corev1.Pod, used map[place]stream.ContainerUsage) []resource.ContainerUse {
	var out []resource.ContainerUse
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if u, ok := used[place{string(pod.UID), container.Name}]; ok {
			out = append(out, resource.ContainerUse{Name: container.Name, CPUNano: int64(u.CPUNano), MemoryBytes: int64(u.MemoryBytes)})
		}
	}
	return out
}
