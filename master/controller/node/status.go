package node

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

// Reasons and messages of the condition Ready. The first two are Kubernetes' (pkg/controller/nodelifecycle) but
// for the name of the process.
const (
	reasonUnknown = "NodeStatusUnknown"
	reasonNever   = "NodeStatusNeverUpdated"
	reasonReady   = "AgentReady"

	saysUnknown = "skerry-agent stopped posting node status."
	saysNever   = "skerry-agent never posted node status."
	saysReady   = "skerry-agent is posting ready status."
)

// update makes the node's object say what the controller holds it to be. It returns whether it said something
// else before, and whether the node was not Ready and now is.
func (t *task) update(object *corev1.Node) (changed, returned bool) {
	before := object.DeepCopy()
	ready := resource.NodeCondition(before, corev1.NodeReady)
	switch t.node.state {
	case alive, suspect:
		t.set(object, corev1.NodeReady, corev1.ConditionTrue, reasonReady, saysReady)
	case lost:
		if ready == nil || ready.Reason == reasonNever {
			t.set(object, corev1.NodeReady, corev1.ConditionUnknown, reasonNever, saysNever)
		} else {
			t.set(object, corev1.NodeReady, corev1.ConditionUnknown, reasonUnknown, saysUnknown)
		}
	case fresh:
		if ready == nil {
			t.set(object, corev1.NodeReady, corev1.ConditionFalse, reasonNever, saysNever)
		}
	}
	t.suspicion(object)
	t.pause(object)
	t.flap(object)
	t.taint(object)
	if equality.Semantic.DeepEqual(before, object) {
		return false, false
	}
	t.announce(before, object)
	return true, !resource.NodeConditionTrue(before, corev1.NodeReady) && resource.NodeConditionTrue(object, corev1.NodeReady)
}

// suspicion sets the condition Suspect. A node that never was suspect has none.
func (t *task) suspicion(object *corev1.Node) {
	if t.node.state == suspect {
		t.set(object, resource.ConditionSuspect, corev1.ConditionTrue, "ConnectionEnded",
			"The connection of skerry-agent ended without a word.")
		return
	}
	c := resource.NodeCondition(object, resource.ConditionSuspect)
	if c == nil || c.Status == corev1.ConditionFalse {
		return
	}
	switch {
	case t.node.state == lost:
		t.set(object, resource.ConditionSuspect, corev1.ConditionFalse, "NodeLost", "skerry-agent did not return in time.")
	case t.blind():
		t.set(object, resource.ConditionSuspect, corev1.ConditionFalse, "NoBroker", "The master has no broker, so that no node can be heard.")
	default:
		t.set(object, resource.ConditionSuspect, corev1.ConditionFalse, "Connected", "skerry-agent has returned.")
	}
}

// set sets a condition. Its heartbeat time is that of the last change: heartbeats are not written.
func (t *task) set(object *corev1.Node, kind corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) {
	c := corev1.NodeCondition{
		Type: kind, Status: status, Reason: reason, Message: message,
		LastHeartbeatTime: *t.time(), LastTransitionTime: *t.time(),
	}
	old := resource.NodeCondition(object, kind)
	switch {
	case old == nil:
		object.Status.Conditions = append(object.Status.Conditions, c)
	case old.Status != status || old.Reason != reason || old.Message != message:
		if old.Status == status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
	}
}

// pressures are the conditions that keep pods away while they are True, as Kubernetes has it.
var pressures = []struct {
	condition corev1.NodeConditionType
	taint     string
}{
	{corev1.NodeMemoryPressure, corev1.TaintNodeMemoryPressure},
	{corev1.NodeDiskPressure, corev1.TaintNodeDiskPressure},
	{corev1.NodePIDPressure, corev1.TaintNodePIDPressure},
	{corev1.NodeNetworkUnavailable, corev1.TaintNodeNetworkUnavailable},
}

// wanted are the taints that follow from the node's state.
func (t *task) wanted(object *corev1.Node) (out []corev1.Taint) {
	add := func(key string, effects ...corev1.TaintEffect) {
		for _, effect := range effects {
			out = append(out, corev1.Taint{Key: key, Effect: effect})
		}
	}
	if object.Spec.Unschedulable {
		add(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)
	}
	switch resource.NodeCondition(object, corev1.NodeReady).Status {
	case corev1.ConditionUnknown:
		add(corev1.TaintNodeUnreachable, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute)
	case corev1.ConditionFalse:
		add(corev1.TaintNodeNotReady, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute)
	}
	for _, p := range pressures {
		if c := resource.NodeCondition(object, p.condition); c != nil && c.Status == corev1.ConditionTrue {
			add(p.taint, corev1.TaintEffectNoSchedule)
		}
	}
	if effect := t.node.flap.effect; effect != "" {
		add(resource.TaintFlapping, effect)
	}
	return out
}

// taint puts the wanted taints on the node and takes off those of ours that are no longer wanted.
func (t *task) taint(object *corev1.Node) {
	ours := map[string]bool{
		corev1.TaintNodeUnschedulable: true, corev1.TaintNodeUnreachable: true, corev1.TaintNodeNotReady: true,
		resource.TaintFlapping: true,
	}
	for _, p := range pressures {
		ours[p.taint] = true
	}
	wanted := t.wanted(object)
	kept := object.Spec.Taints[:0:0]
	for _, have := range object.Spec.Taints {
		if !ours[have.Key] || slices.ContainsFunc(wanted, func(w corev1.Taint) bool { return w.MatchTaint(&have) }) {
			kept = append(kept, have)
		}
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(kept, func(have corev1.Taint) bool { return w.MatchTaint(&have) }) {
			w.TimeAdded = t.time()
			kept = append(kept, w)
		}
	}
	object.Spec.Taints = kept
}

// announce records what people should know of the change, in kubectl's words.
func (t *task) announce(before, object *corev1.Node) {
	tell := func(kind, reason, message string) {
		t.open().Record(resource.Occurrence{
			About: resource.Nodes.Reference("", object.Name, object.UID), Type: kind, Reason: reason,
			Message: "Node " + object.Name + " " + message, Component: component,
		})
	}
	if resource.NodeCondition(before, corev1.NodeReady) == nil {
		tell(corev1.EventTypeNormal, "RegisteredNode", "event: Registered Node "+object.Name+" in Controller")
	}
	switch was, is := resource.NodeConditionTrue(before, corev1.NodeReady), resource.NodeConditionTrue(object, corev1.NodeReady); {
	case is && !was:
		tell(corev1.EventTypeNormal, "NodeReady", "status is now: NodeReady")
	case was && !is:
		tell(corev1.EventTypeNormal, "NodeNotReady", "status is now: NodeNotReady")
	}
	t.announceMore(before, object, tell)
}

// announceMore is announce for the conditions beside Ready.
func (t *task) announceMore(before, object *corev1.Node, tell func(kind, reason, message string)) {
	rises := func(kind corev1.NodeConditionType) bool {
		return resource.NodeConditionTrue(object, kind) && !resource.NodeConditionTrue(before, kind)
	}
	falls := func(kind corev1.NodeConditionType) bool {
		return resource.NodeConditionTrue(before, kind) && !resource.NodeConditionTrue(object, kind)
	}
	says := func(kind corev1.NodeConditionType) string { return resource.NodeCondition(object, kind).Message }
	switch {
	case rises(resource.ConditionSuspect):
		tell(corev1.EventTypeWarning, "NodeSuspect",
			"lost its connection and is given "+t.paced(t.node, t.config.SuspectTimeout).String()+" to return")
	case falls(resource.ConditionSuspect) && t.blind():
		tell(corev1.EventTypeNormal, "NodeUnheard", "has its time stopped. "+says(resource.ConditionSuspect))
	case falls(resource.ConditionSuspect) && t.node.state != lost:
		tell(corev1.EventTypeNormal, "NodeConnected", "has returned in time")
	}
	switch {
	case rises(resource.ConditionEvictionPaused):
		tell(corev1.EventTypeWarning, "EvictionsPaused", "is lost and keeps its pods. "+says(resource.ConditionEvictionPaused))
	case falls(resource.ConditionEvictionPaused):
		tell(corev1.EventTypeNormal, "EvictionsResumed", "keeps its pods no longer. "+says(resource.ConditionEvictionPaused))
	}
	reason := func(object *corev1.Node) string {
		if c := resource.NodeCondition(object, resource.ConditionFlapping); c != nil {
			return c.Reason
		}
		return ""
	}
	switch {
	case falls(resource.ConditionFlapping):
		tell(corev1.EventTypeNormal, "NodeStable", "is taken for stable again. "+says(resource.ConditionFlapping))
	case resource.NodeConditionTrue(object, resource.ConditionFlapping) && reason(before) != reason(object):
		tell(corev1.EventTypeWarning, "NodeFlapping", "is flapping. "+says(resource.ConditionFlapping))
	}
}

func (t *task) time() *metav1.Time {
	now := metav1.NewTime(t.now.Wall.Truncate(time.Second))
	return &now
}
