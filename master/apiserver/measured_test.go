package apiserver

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// nodesThat are a Streams whose nodes answer questions of kind usage.
type nodesThat struct {
	answers map[string]func(stream.Open) ([]byte, error) // nil: never

	mu   sync.Mutex
	open int // streams at the moment
	most int
	all  []stream.Open
}

func (n *nodesThat) Open(ctx context.Context, node string, open stream.Open) (stream.Conn, error) {
	answer, known := n.answers[node]
	if !known {
		return nil, &stream.Error{Text: "open a stream to " + node + ": it is offline"}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open++
	n.most = max(n.most, n.open)
	n.all = append(n.all, open)
	c := &answering{nodes: n, ctx: ctx}
	if answer != nil {
		c.answered = true
		c.data, c.err = answer(open)
	}
	return c, nil
}

// answering is one stream to one of them.
type answering struct {
	stream.Conn
	nodes    *nodesThat
	ctx      context.Context
	answered bool
	data     []byte
	err      error
	closed   sync.Once
}

func (c *answering) Read() (byte, []byte, error) {
	if !c.answered {
		<-c.ctx.Done()
		return 0, nil, io.ErrUnexpectedEOF
	}
	if len(c.data) > 0 {
		n := min(len(c.data), stream.MaxData)
		piece := c.data[:n]
		c.data = c.data[n:]
		return stream.Out, piece, nil
	}
	if c.err != nil {
		return 0, nil, c.err
	}
	return 0, nil, io.EOF
}

func (c *answering) Close(stream.End) {
	c.closed.Do(func() {
		c.nodes.mu.Lock()
		c.nodes.open--
		c.nodes.mu.Unlock()
	})
}

// uses is the answer of a node.
func uses(containers ...stream.ContainerUsage) func(stream.Open) ([]byte, error) {
	return func(stream.Open) ([]byte, error) {
		return stream.EncodeUsage(stream.UsageReport{WindowMilli: 500, Containers: containers}), nil
	}
}

// says is a refusal of a node.
func says(code, text string) func(stream.Open) ([]byte, error) {
	return func(stream.Open) ([]byte, error) { return nil, &stream.Error{Code: code, Text: text} }
}

func usage(pod, container string, milli, mega uint64) stream.ContainerUsage {
	return stream.ContainerUsage{UID: string(resource.DeriveUID(pod)), Container: container, CPUNano: milli * 1e6, MemoryBytes: mega << 20}
}

const (
	podMetrics    = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"
	allPodMetrics = "/apis/metrics.k8s.io/v1beta1/pods"
)

// putPod stores a running pod with a container "c" and one "side".
func (a *api) putPod(namespace, name, node string, phase corev1.PodPhase) {
	a.put(resource.Pods, pod(name, func(p *corev1.Pod) {
		p.Namespace, p.UID, p.Labels = namespace, resource.DeriveUID(name), map[string]string{"app": name}
		p.Spec.NodeName, p.Status.Phase = node, phase
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "side"})
	}))
}

// names are the pods of a list, with a warning's words where there was one.
func (a *api) measuredPods(t *testing.T, path string) (names []string, warning string) {
	t.Helper()
	r, list := a.get(path), metricsv1beta1.PodMetricsList{}
	r.into(200, &list)
	for _, m := range list.Items {
		names = append(names, m.Name)
	}
	return names, strings.Join(r.header.Values("Warning"), "\n")
}

// A pod's figures are what its node has said of its containers, with the window that the node has measured and the
// time of the answer.
func TestPodMetrics(t *testing.T) {
	nodes := &nodesThat{answers: map[string]func(stream.Open) ([]byte, error){
		"n1": uses(usage("web", "side", 0, 3), usage("web", "c", 250, 64), usage("web", "unknown", 1, 1), usage("db", "c", 9, 9)),
		"n2": uses(usage("db", "c", 10, 100), usage("web", "c", 999, 999)),
	}}
	a := newAPI(t, func(c *Config) { c.Streams = nodes })
	a.putPod("default", "web", "n1", corev1.PodRunning)
	a.putPod("default", "waits", "", corev1.PodPending)
	a.putPod("default", "over", "n1", corev1.PodSucceeded)
	a.putPod("other", "db", "n2", corev1.PodRunning)

	m := &metricsv1beta1.PodMetrics{}
	a.get(podMetrics+"/web").into(200, m)
	if m.Kind != "PodMetrics" || m.Window.Duration != 500*time.Millisecond || !m.Timestamp.Time.Equal(started) || m.Labels["app"] != "web" {
		t.Errorf("of web: %+v", m)
	}
	var got []string
	for _, c := range m.Containers {
		got = append(got, fmt.Sprintf("%s %s %s", c.Name, c.Usage.Cpu(), c.Usage.Memory()))
	}
	if want := []string{"c 250m 64Mi", "side 0 3Mi"}; !slices.Equal(got, want) {
		t.Errorf("of web's containers: %q; want %q: a node speaks for its own pods alone", got, want)
	}

	for path, want := range map[string][]string{
		podMetrics:    {"web"},
		allPodMetrics: {"web", "db"},
		allPodMetrics + "?labelSelector=app%3Ddb":           {"db"},
		allPodMetrics + "?fieldSelector=spec.nodeName%3Dn1": {"web"},
		podMetrics + "?labelSelector=app%3Dnothing":         nil,
	} {
		if got, warning := a.measuredPods(t, path); !slices.Equal(got, want) || warning != "" {
			t.Errorf("%s lists %q, with the warning %q; want %q", path, got, warning, want)
		}
	}

	table := &metav1.Table{}
	a.do(ask{method: "GET", path: podMetrics, accept: "application/json;as=Table;v=v1;g=meta.k8s.io"}).into(200, table)
	if len(table.Rows) != 1 || fmt.Sprint(table.Rows[0].Cells) != "[web 250m 67Mi 500ms]" {
		t.Errorf("the table is %+v", table.Rows)
	}
	if r := a.do(ask{method: "GET", path: allPodMetrics, accept: "application/vnd.kubernetes.protobuf"}); r.code != 200 {
		t.Errorf("as protobuf: %d", r.code)
	}
}

// One pod is asked for by its uid, and only nodes that have pods of the list are asked at all.
func TestOnlyNodesConcernedAreAsked(t *testing.T) {
	nodes := &nodesThat{answers: map[string]func(stream.Open) ([]byte, error){"n1": uses(), "n2": uses()}}
	a := newAPI(t, func(c *Config) { c.Streams = nodes })
	a.putPod("default", "web", "n1", corev1.PodRunning)
	a.putPod("other", "db", "n2", corev1.PodRunning)
	a.putPod("other", "db2", "n2", corev1.PodRunning)
	a.measuredPods(t, podMetrics)
	if len(nodes.all) != 1 || nodes.all[0].Kind != stream.Usage || nodes.all[0].UID != string(resource.DeriveUID("web")) {
		t.Errorf("asked %+v", nodes.all)
	}
	nodes.all = nil
	a.measuredPods(t, allPodMetrics)
	if len(nodes.all) != 2 {
		t.Errorf("asked %+v", nodes.all)
	}
}

// Pods of a node that does not answer, or not well, are left out, and a warning says so; the others are there, after a
// bounded time.
func TestNodesWithoutAnAnswer(t *testing.T) {
	const old = `this node's agent does not know streams of kind "usage"`
	for name, test := range map[string]struct {
		answer func(stream.Open) ([]byte, error)
		absent bool
		words  string
	}{
		"a slow one":              {nil, false, "it has not answered within 3s"},
		"one that is offline":     {nil, true, "it does not answer"},
		"an old agent":            {says(stream.BadRequest, old), false, "does not know streams of kind"},
		"one that is lost":        {says("", "part of the stream was lost"), false, "it does not answer"},
		"one that sends nonsense": {func(stream.Open) ([]byte, error) { return []byte{0xff}, nil }, false, "decode"},
		"one that sends too much": {func(stream.Open) ([]byte, error) { return make([]byte, stream.MaxUsage+1), nil }, false, "too large"},
		"one that says too much":  {says(stream.BadRequest, strings.Repeat("x", 5000)), false, "xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := &nodesThat{answers: map[string]func(stream.Open) ([]byte, error){"well": uses(usage("web", "c", 1, 1)), "bad": test.answer}}
				if test.absent {
					delete(nodes.answers, "bad")
				}
				a := newAPI(t, func(c *Config) { c.Streams = nodes })
				a.putPod("default", "web", "well", corev1.PodRunning)
				a.putPod("default", "lost", "bad", corev1.PodRunning)
				got, warning := a.measuredPods(t, podMetrics)
				if !slices.Equal(got, []string{"web"}) || !strings.Contains(warning, "of node bad: ") || !strings.Contains(warning, test.words) {
					t.Errorf("lists %q with the warning %q", got, warning)
				}
				if len(warning) > 400 {
					t.Errorf("the warning has %d bytes", len(warning))
				}
				a.get(podMetrics+"/lost").fails(404, metav1.StatusReasonNotFound, "there are no metrics of pod lost: node bad: ")
				if nodes.open != 0 {
					t.Errorf("%d streams are left open", nodes.open)
				}
			})
		})
	}
}

// However many nodes are slow, the answer comes in time, with a bounded number of questions under way.
func TestManySlowNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := &nodesThat{answers: map[string]func(stream.Open) ([]byte, error){}}
		a := newAPI(t, func(c *Config) { c.Streams = nodes })
		for i := range 3 * maxAsks {
			name := fmt.Sprintf("p%d", i)
			nodes.answers[name] = nil
			a.putPod("default", name, name, corev1.PodRunning)
		}
		began := time.Now()
		got, warning := a.measuredPods(t, podMetrics)
		if took := time.Since(began); len(got) != 0 || took > askAllLimit {
			t.Errorf("%d pods after %s", len(got), took)
		}
		if !strings.Contains(warning, "765 more nodes") {
			t.Errorf("the warning is %q", warning)
		}
		if nodes.most > maxAsks || nodes.open != 0 {
			t.Errorf("up to %d nodes were asked at once, and %d streams are left", nodes.most, nodes.open)
		}
	})
}

// What there are no figures for is answered in words, and what can't be done with figures is refused.
func TestPodMetricsThatCannotBe(t *testing.T) {
	nodes := &nodesThat{answers: map[string]func(stream.Open) ([]byte, error){"n1": uses()}}
	a := newAPI(t, func(c *Config) { c.Streams = nodes })
	a.putPod("default", "waits", "", corev1.PodPending)
	a.putPod("default", "starts", "n1", corev1.PodPending)
	a.putPod("default", "over", "n1", corev1.PodFailed)
	for _, test := range []struct {
		method, path string
		code         int
		reason       metav1.StatusReason
		words        string
	}{
		{"GET", podMetrics + "/nobody", 404, metav1.StatusReasonNotFound, `pods "nobody" not found`},
		{"GET", podMetrics + "/waits", 404, metav1.StatusReasonNotFound, "no metrics of pod waits: it has no node yet"},
		{"GET", podMetrics + "/starts", 404, metav1.StatusReasonNotFound, "no metrics of pod starts: none of its containers runs"},
		{"GET", podMetrics + "/over", 404, metav1.StatusReasonNotFound, "no metrics of pod over: none of its containers runs"},
		{"GET", podMetrics + "?labelSelector=a%3Db%3Dc", 400, metav1.StatusReasonBadRequest, "unable to parse requirement"},
		{"GET", podMetrics + "?fieldSelector=a%3Db", 400, metav1.StatusReasonBadRequest, "field label not supported: a"},
		{"GET", podMetrics + "?watch=1", 405, metav1.StatusReasonMethodNotAllowed, ""},
		{"DELETE", podMetrics + "/over", 405, metav1.StatusReasonMethodNotAllowed, ""},
		{"POST", podMetrics, 405, metav1.StatusReasonMethodNotAllowed, ""},
	} {
		a.do(ask{method: test.method, path: test.path}).fails(test.code, test.reason, test.words)
	}
	nowhere := newAPI(t)
	nowhere.get(podMetrics).fails(503, metav1.StatusReasonServiceUnavailable, "no connection to its nodes")
	if r := a.do(ask{method: "GET", path: podMetrics, groups: []string{GroupViewers}}); r.code != 200 {
		t.Errorf("a viewer is answered %d", r.code)
	}
	a.do(ask{method: "GET", path: podMetrics, groups: []string{"others"}}).fails(403, metav1.StatusReasonForbidden, `cannot list resource "pods"`)
}
