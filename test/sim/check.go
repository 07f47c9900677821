package sim

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// checkAttempts: of one container of a pod there is never more than one attempt that runs.
func (w *World) checkAttempts() {
	changed := false
	for _, n := range w.machines() {
		if !n.changed {
			continue
		}
		n.changed, changed = false, true
		running := map[string]string{}
		for _, c := range n.engine.Containers() {
			if c.State != engine.Running {
				continue
			}
			key := c.Labels[engine.LabelPodUID] + "/" + c.Labels[engine.LabelContainer]
			if other := running[key]; other != "" {
				w.fail("%s runs two attempts at once: %s and %s", n.name, other, c.ID)
			}
			running[key] = c.ID
		}
	}
	if changed {
		w.checkSingles()
	}
}

// checkStart: an agent starts only what its newest desired state lists, or one that was in force when the start
// was decided.
func (w *World) checkStart(n *node, spec engine.Spec) {
	uid := spec.Labels[engine.LabelPodUID]
	pod := n.book.listed[uid]
	if pod != nil && pod.DeletionTimestamp == nil {
		return
	}
	if at, ok := n.book.allowed[uid]; ok && w.now-at <= allowance {
		return
	}
	w.fail("%s starts %s, which it was not told to run", n.name, spec.ID)
}

// checkStop: an agent stops only what it was told to stop, or not told to run, since it was started; or what must be
// single, for its permit may end.
func (w *World) checkStop(n *node, id string) {
	for uid := range n.book.listed {
		if strings.HasPrefix(id, uid+"-") && !n.book.dropped[uid] && w.singles.pods[uid] == nil {
			w.fail("%s stops %s, which it was told to run and never to stop", n.name, id)
		}
	}
}

// checkPacket: a desired state lists exactly the pods that are bound to its node.
func (w *World) checkPacket(p bus.Packet) {
	if !p.Up || p.Client == replayer || channel(p.Topic) != protocol.Desired || w.master.dead {
		return
	}
	name, _, _ := w.topics.Parse(p.Topic)
	if len(p.Payload) == 0 {
		w.checkTakenBack(name)
		return
	}
	envelope, err := w.node(name).openDesired(p.Topic, p.Payload)
	if err != nil {
		w.fail("a desired state does not open: %w", err)
		return
	}
	doc, err := message.Decode[message.Desired](envelope.Body)
	if err != nil {
		w.fail("a desired state does not decode: %w", err)
		return
	}
	raw, content, err := doc.Unpack()
	if err != nil {
		w.fail("a desired state does not unpack: %w", err)
		return
	}
	w.node(name).ordered(doc.Position, raw)
	view := w.master.store.View()
	want := map[string]bool{}
	if _, exists := view.Get(resource.Nodes.Key("", name)); exists {
		for rec := range view.Indexed(resource.Pods.Kind, "spec.nodeName", name) {
			want[string(w.pod(rec).UID)] = true
		}
	}
	for _, data := range content.Pods {
		pod := &corev1.Pod{}
		if err := pod.Unmarshal(data); err != nil {
			w.fail("a desired pod does not decode: %w", err)
			return
		}
		if !want[string(pod.UID)] {
			w.fail("%s is told to run %s, which is not bound to it", name, pod.Name)
		}
		delete(want, string(pod.UID))
	}
	for _, uid := range slices.Sorted(maps.Keys(want)) {
		w.fail("%s is not told to run %s, which is bound to it", name, uid)
	}
}

func (w *World) pod(rec change.Record) *corev1.Pod {
	pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
	if err != nil {
		w.fail("%w", err)
		return &corev1.Pod{}
	}
	return pod
}

func (w *World) nodeObject(rec change.Record) *corev1.Node {
	object, err := resource.As[*corev1.Node](resource.Nodes, rec)
	if err != nil {
		w.fail("%w", err)
		return &corev1.Node{}
	}
	return object
}

// checkCommit looks at what one commit changes.
func (w *World) checkCommit(who string, events []change.Event, reasons map[change.Key]string) {
	for _, e := range events {
		switch e.Key.Kind {
		case resource.Pods.Kind:
			w.checkPod(who, e, events, reasons[e.Key])
		case resource.Nodes.Kind:
			w.checkReady(e)
		}
	}
}

func (w *World) checkPod(who string, e change.Event, events []change.Event, reason string) {
	var old, pod *corev1.Pod
	if e.Old.Exists() {
		old = w.pod(e.Old)
	}
	if e.New.Exists() {
		pod = w.pod(e.New)
	}
	if pod == nil && who == "nodelink" {
		w.checkGone(old)
	}
	if old != nil && (pod == nil || pod.UID != old.UID) && strings.Contains(reason, "its node is lost") {
		w.checkEviction(old, events)
	}
	if pod == nil {
		return
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range list {
			if id := strings.TrimPrefix(c.ContainerID, "containerd://"); id != "" && !strings.HasPrefix(id, string(pod.UID)+"-") {
				w.fail("the status of pod %s, uid %s, speaks of container %s", pod.Name, pod.UID, id)
			}
		}
	}
	if old == nil || old.UID != pod.UID {
		if who == "nodelink" {
			w.fail("a report of a node makes pod %s another one", pod.Name)
		}
		return
	}
	if old.Spec.NodeName != pod.Spec.NodeName {
		if old.Spec.NodeName != "" {
			w.fail("pod %s moves from %s to %s with one uid", pod.Name, old.Spec.NodeName, pod.Spec.NodeName)
		}
		w.checkBinding(pod)
	}
	if resource.Ended(old) && pod.Status.Phase != old.Status.Phase {
		w.fail("pod %s had ended (%s) and is %s", pod.Name, old.Status.Phase, pod.Status.Phase)
	}
}

// checkGone: a pod is deleted for its node's report only when nothing of it runs.
func (w *World) checkGone(pod *corev1.Pod) {
	if n := w.byName[pod.Spec.NodeName]; n != nil && n.cloned > 0 && w.now <= n.cloned+memory {
		return // two machines speak for one node, and neither knows of the other's containers
	}
	if w.now < w.restoredAt+memory+patience/4 {
		return // it may have been bound to another node after the backup, which was not reached yet
	}
	for _, n := range w.nodes {
		for _, id := range n.containers()[string(pod.UID)] {
			w.fail("pod %s is deleted and %s still runs on %s", pod.Name, id, n.who())
		}
	}
}

// checkBinding: a pod is bound only to a node that is Ready and not cordoned.
func (w *World) checkBinding(pod *corev1.Pod) {
	rec, ok := w.master.store.View().Get(resource.Nodes.Key("", pod.Spec.NodeName))
	if !ok {
		w.fail("pod %s is bound to %s, which is no node", pod.Name, pod.Spec.NodeName)
		return
	}
	object := w.nodeObject(rec)
	if ready(object) != corev1.ConditionTrue || object.Spec.Unschedulable {
		w.fail("pod %s is bound to %s, which is Ready=%s, cordoned=%t", pod.Name, object.Name, ready(object), object.Spec.Unschedulable)
	}
}

// checkEviction: pods are taken from a node as lost only when it is Unknown, which checkReady looks into, and none
// is evicted while the master hears nobody.
func (w *World) checkEviction(pod *corev1.Pod, events []change.Event) {
	rec, _ := w.master.store.View().Get(resource.Nodes.Key("", pod.Spec.NodeName))
	for _, e := range events {
		if e.Key == resource.Nodes.Key("", pod.Spec.NodeName) {
			rec = e.New
		}
	}
	if !rec.Exists() || ready(w.nodeObject(rec)) != corev1.ConditionUnknown {
		w.fail("pod %s is taken from %s, which is not lost", pod.Name, pod.Spec.NodeName)
	}
	if link, ok := w.seen(resource.LinkName); ok && !link.Online && pod.DeletionTimestamp == nil {
		w.fail("pod %s is taken from %s while the master has no broker", pod.Name, pod.Spec.NodeName)
	}
}

// checkReady: Ready changes only for a cause.
func (w *World) checkReady(e change.Event) {
	if !e.Old.Exists() || !e.New.Exists() {
		return
	}
	was, is := ready(w.nodeObject(e.Old)), ready(w.nodeObject(e.New))
	if was == is {
		return
	}
	now := w.master.machine.now()
	w.log("store", "%s is Ready=%s", e.Key.Name, is)
	switch {
	case is == corev1.ConditionUnknown:
		w.flips[e.Key.Name]++
		if why := w.notLost(e.Key.Name, now); why != "" {
			w.fail("%s becomes Unknown though it is not lost: %s", e.Key.Name, why)
		}
	case is == corev1.ConditionTrue:
		if seen, ok := w.seen(e.Key.Name); !ok || now.Boot-seen.HeardBoot > w.settings.Timeout() {
			w.fail("%s becomes Ready though nothing was heard of it", e.Key.Name)
		}
	}
}

// notLost says why a node can't be given up now; empty when it can.
func (w *World) notLost(name string, now clock.Now) string {
	timeout := w.settings.Timeout()
	link, ok := w.seen(resource.LinkName)
	if ok && !link.Online {
		return "the master has no broker"
	}
	seen, ok := w.seen(name)
	if fresh := now.Since(w.master.started); fresh < min(timeout, w.settings.suspect) || fresh < timeout && (!ok || seen.Online) {
		return "the master has just started"
	}
	if deadline := seen.HeardBoot + timeout; ok && (seen.Online || deadline < seen.OfflineBoot+w.settings.suspect) && link.ProofBoot < deadline {
		return "no probe has come back that was sent after its node-timeout"
	}
	if ok && now.Boot-seen.HeardBoot < timeout && (seen.Online || now.Boot-seen.OfflineBoot < w.settings.suspect) {
		return "it was heard " + (now.Boot - seen.HeardBoot).String() + " ago"
	}
	return ""
}

func (w *World) seen(name string) (resource.Seen, bool) {
	rec, ok := w.master.store.View().Get(change.Key{Kind: resource.SeenKind, Name: name})
	if !ok {
		return resource.Seen{}, false
	}
	seen, err := resource.DecodeSeen(rec.Value)
	if err != nil {
		w.fail("decode what was seen of %s: %w", name, err)
	}
	return seen, true
}

func ready(object *corev1.Node) corev1.ConditionStatus {
	if c := resource.NodeCondition(object, corev1.NodeReady); c != nil {
		return c.Status
	}
	return ""
}
