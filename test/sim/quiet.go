package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/master/resource"
)

// Limits of what comes after the faults.
const (
	// patience is the longest back-off of everything, twice: an image or a container may wait 5 minutes. And a node that
	// was lost too often is avoided for ten minutes, by a clock that may be slow, after it has come back.
	patience = 15 * time.Minute
	// rest is how long things may still settle after all looks well: a rollout is complete before its last old
	// pod is gone from every memory.
	rest = 2 * time.Minute
	idle = time.Minute
)

// Settle lets time pass until the world is as it should be, and then checks that it stays so and that nothing
// more happens. It reports false when an invariant was broken.
func (w *World) Settle() bool {
	if !w.converge(patience) {
		return false
	}
	if !w.Run(rest) {
		return false
	}
	return w.checkIdle()
}

// converge waits until nothing is amiss.
func (w *World) converge(limit time.Duration) bool {
	var amiss []string
	for end := w.now + limit; ; {
		for _, n := range w.nodes {
			w.user.Cordon(n.name, false) // the master may have been away
		}
		w.user.giveUpPinned()
		w.fenceGone()
		if !w.Run(5 * time.Second) {
			return false
		}
		if amiss = w.amiss(); len(amiss) == 0 {
			w.log("world", "all is well")
			return true
		}
		if w.now >= end {
			w.fail("%s after the last fault:\n  %s", limit, strings.Join(amiss, "\n  "))
			return false
		}
	}
}

// checkIdle: nothing is written and nothing is said but heartbeats, planning again changes nothing, and a restart
// of the master or of an agent changes nothing either.
func (w *World) checkIdle() bool {
	for _, during := range []struct {
		what     string
		do       func()
		talks    bool
		wills    bool
		duration time.Duration
	}{
		{"an idle minute", func() {}, false, false, idle},
		{"a restart of the master", func() { w.master.crash(time.Second, false) }, true, false, 2 * idle},
		{"a restart of every agent", func() {
			for _, n := range w.nodes {
				n.crash(time.Second)
			}
		}, true, true, 2 * idle},
		{"another idle minute", func() {}, false, false, idle},
	} {
		if !w.checkWell("before " + during.what) {
			return false
		}
		if plan, more := w.replan(); more {
			w.fail("before %s planning again changes something: %s", during.what, plan)
			return false
		}
		writes, starts, stops := w.writes(), w.starts(), w.stops()
		clear(w.disk.written)
		w.sent = map[string]int{}
		clear(w.flips)
		during.do()
		if !w.Run(during.duration) {
			return false
		}
		if !w.checkWell("after " + during.what) {
			return false
		}
		for _, kind := range slices.Sorted(maps.Keys(w.disk.written)) {
			n := w.disk.written[kind]
			expected := false
			switch kind {
			case resource.Nodes.Kind, resource.Events.Kind: // suspect for a moment
				expected = during.wills
			case resource.Pods.Kind: // when a container became Ready is then told by the engine, not by who saw it
				expected = during.wills && n <= len(w.pods())
			}
			if !expected && !w.restless() {
				w.fail("%s costs %d durable writes of %s", during.what, n, kind)
			}
		}
		if n, m := w.starts()-starts, w.stops()-stops; n+m > 0 && !w.restless() {
			w.fail("during %s %d containers were started and %d stopped", during.what, n, m)
		}
		if len(w.flips) > 0 {
			w.fail("during %s nodes were given up: %v", during.what, w.flips)
		}
		if !during.talks {
			w.checkSilence(during.what, during.duration)
			if n := w.writes() - writes; n > 0 && !w.restless() {
				w.fail("during %s agents wrote %d times to their disks", during.what, n)
			}
		}
		if w.failure != nil {
			return false
		}
	}
	return true
}

// checkWell: nothing is amiss; what ends by itself may just have done so, which shows within two heartbeats.
func (w *World) checkWell(when string) bool {
	if w.restless() {
		for end := w.now + 2*w.settings.Heartbeat(); len(w.amiss()) > 0 && w.now < end; {
			if !w.Run(w.glance() / 2) {
				return false
			}
		}
	}
	if amiss := w.amiss(); len(amiss) > 0 {
		w.fail("%s:\n  %s", when, strings.Join(amiss, "\n  "))
	}
	return w.failure == nil
}

// restless reports whether there are containers that end and are started again by themselves.
func (w *World) restless() bool {
	for _, p := range w.pods() {
		if len(p.Spec.Containers[0].Args) > 0 && p.Spec.Containers[0].Args[0] == "sleep" {
			return true
		}
	}
	return false
}

// checkSilence: an idle fleet sends heartbeats, and its master a probe an interval and an announcement every five
// minutes. Every message is counted on its way up and on its way down.
func (w *World) checkSilence(what string, d time.Duration) {
	if w.restless() {
		return
	}
	// A heartbeat comes up to a twentieth early, by a clock that may be a twentieth fast.
	most := int(d/w.settings.Heartbeat())*10/9 + 2
	allowed := map[string]int{"hb": 2 * most * len(w.nodes), "probe": 2 * most, "leader": 1 + len(w.nodes)}
	asking := map[string]bool{}
	for _, p := range w.pods() {
		if p.Annotations[resource.PartitionPolicy] == resource.PolicyStop {
			asking[p.Spec.NodeName] = true
		}
	}
	allowed["req"] = 2 * most * len(asking) // a permit for each heartbeat
	for _, channel := range slices.Sorted(maps.Keys(w.sent)) {
		if n := w.sent[channel]; n > allowed[channel] {
			w.fail("during %s %d packets were sent on %s, %d are enough", what, n, channel, allowed[channel])
		}
	}
	if w.sent["hb"] < len(w.nodes) {
		w.fail("during %s there were only %d heartbeats", what, w.sent["hb"])
	}
}

func (w *World) writes() (sum int64) {
	for _, n := range w.nodes {
		sum += n.disk.writes.Load()
	}
	return sum
}

func (w *World) starts() (sum int) {
	for _, n := range w.nodes {
		sum += n.engine.Counts().Starts
	}
	return sum
}

func (w *World) stops() (sum int) {
	for _, n := range w.nodes {
		sum += n.engine.Counts().Stops
	}
	return sum
}

// amiss says what is not as it should be once everything has come to rest.
func (w *World) amiss() (out []string) {
	if w.master.dead {
		return []string{"the master is down"}
	}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	up := map[string]bool{}
	view := w.master.store.View()
	for _, n := range w.nodes {
		if n.agent == nil {
			say("%s: the agent is down", n.name)
			continue
		}
		rec, ok := view.Get(resource.Nodes.Key("", n.name))
		if !ok {
			say("%s has no Node", n.name)
			continue
		}
		object := w.nodeObject(rec)
		up[n.name] = ready(object) == corev1.ConditionTrue
		if !up[n.name] || len(object.Spec.Taints) > 0 {
			say("%s is Ready=%s with taints %v", n.name, ready(object), object.Spec.Taints)
		}
		if c := resource.NodeCondition(object, resource.ConditionSuspect); c != nil && c.Status == corev1.ConditionTrue {
			say("%s is suspect", n.name)
		}
		out = append(out, n.amissOfKeys(object)...)
	}
	pods := w.pods()
	running := map[string]int32{}
	bound := map[string]map[string]*corev1.Pod{}
	for _, p := range pods {
		c := resource.PodCondition(p, corev1.PodReady)
		good := p.Status.Phase == corev1.PodRunning && c != nil && c.Status == corev1.ConditionTrue || napping(p)
		switch {
		case p.DeletionTimestamp != nil:
			say("pod %s on %q is Terminating", p.Name, p.Spec.NodeName)
		case !up[p.Spec.NodeName]:
			say("pod %s is on %q, which is not Ready", p.Name, p.Spec.NodeName)
		case !good:
			say("pod %s on %s is %s, ready: %v", p.Name, p.Spec.NodeName, p.Status.Phase, c)
		default:
			running[p.Labels["app"]]++
		}
		if bound[p.Spec.NodeName] == nil {
			bound[p.Spec.NodeName] = map[string]*corev1.Pod{}
		}
		bound[p.Spec.NodeName][string(p.UID)] = p
	}
	out = append(out, w.amissOfUser(running)...)
	out = append(out, w.amissOfNames()...)
	out = append(out, w.amissOfSlots(pods)...)
	for _, n := range w.nodes {
		if n.agent != nil {
			out = append(out, n.amiss(bound[n.name])...)
		}
	}
	return out
}

// napping reports whether a pod's container may be between two runs.
func napping(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodRunning && len(p.Spec.Containers[0].Args) > 0 && p.Spec.Containers[0].Args[0] == "sleep"
}

// amissOfUser compares what was asked for with what there is.
func (w *World) amissOfUser(running map[string]int32) (out []string) {
	view := w.master.store.View()
	for _, name := range w.user.ordered {
		want, asked := w.user.asked[name]
		if !asked {
			if _, ok := view.Get(resource.Pods.Key(metav1.NamespaceDefault, name)); !ok {
				out = append(out, fmt.Sprintf("pod %s is gone", name))
			}
			continue
		}
		rec, ok := view.Get(resource.Deployments.Key(metav1.NamespaceDefault, name))
		if !ok {
			out = append(out, fmt.Sprintf("deployment %s is gone", name))
			continue
		}
		d, err := resource.As[*appsv1.Deployment](resource.Deployments, rec)
		if err != nil {
			w.fail("%w", err)
			return out
		}
		s := d.Status
		if d.Generation != s.ObservedGeneration || running[name] != *d.Spec.Replicas || s.Replicas != *d.Spec.Replicas || s.UpdatedReplicas != *d.Spec.Replicas {
			out = append(out, fmt.Sprintf("deployment %s was last asked for %d replicas, has spec %d, %d run, generation %d, status %+v",
				name, want, *d.Spec.Replicas, running[name], d.Generation, s))
		}
	}
	return out
}

// amiss compares a node with the pods that are bound to it.
func (n *node) amiss(bound map[string]*corev1.Pod) (out []string) {
	say := func(format string, args ...any) { out = append(out, n.name+": "+fmt.Sprintf(format, args...)) }
	running := map[string]bool{}
	for _, c := range n.engine.Containers() {
		uid := c.Labels[engine.LabelPodUID]
		if bound[uid] == nil {
			say("container %s is there and its pod is not bound here", c.ID)
		}
		running[uid] = running[uid] || c.State == engine.Running
	}
	for _, uid := range slices.Sorted(maps.Keys(n.nets)) {
		if bound[uid] == nil {
			say("the network of %s is left over", uid)
		}
	}
	_, statuses := n.agent.local.Statuses()
	reported := map[string]bool{}
	for _, s := range statuses {
		p := bound[s.UID]
		switch {
		case s.Gone && p == nil:
			continue
		case p == nil:
			say("it reports %s, which is not bound here", s.Name)
			continue
		case s.Gone:
			say("nothing is left of %s", s.Name)
			continue
		}
		reported[s.UID] = true
		var status corev1.PodStatus
		if err := status.Unmarshal(s.Status); err != nil {
			n.w.fail("%s: a status does not decode: %w", n.name, err)
			return out
		}
		if diff := differs(&status, p); diff != "" {
			say("the status of %s differs in the store:\n%s", s.Name, diff)
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(bound)) {
		p := bound[uid]
		if !reported[uid] {
			say("nothing is reported of %s", p.Name)
		}
		if !running[uid] && !resource.Ended(p) && !napping(p) {
			say("nothing runs of %s", p.Name)
		}
	}
	return out
}

// differs compares a reported status with the stored one, but for what the master alone says.
func differs(reported *corev1.PodStatus, p *corev1.Pod) string {
	stored := p.Status.DeepCopy()
	mine := func(list []corev1.PodCondition) []corev1.PodCondition {
		out := []corev1.PodCondition{}
		for _, c := range list {
			if c.Type != corev1.PodScheduled && c.Type != corev1.DisruptionTarget {
				out = append(out, c)
			}
		}
		return out
	}
	reported = reported.DeepCopy()
	reported.Conditions, stored.Conditions = mine(reported.Conditions), mine(stored.Conditions)
	if stored.Reason != "" && reported.Reason == "" {
		stored.Reason, stored.Message = "", ""
	}
	a, errA := reported.Marshal()
	b, errB := stored.Marshal()
	if errA == nil && errB == nil && string(a) == string(b) {
		return ""
	}
	return cmp.Diff(reported, stored)
}
