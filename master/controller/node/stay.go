package node

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// reasonNotReady is that of the condition Ready of a pod whose node is lost.
const reasonNotReady = "NodeNotReady"

// Why pods of a lost node stay, as their condition Ready says after the node's name.
const (
	becausePinned    = "it was bound to this node by name and is never moved"
	becauseNowhere   = "no other node that is up could take it"
	becausePaused    = "evictions are paused, see the node's condition EvictionPaused"
	becausePermitted = "it must run at most once and is replaced when this node's permit to run it has surely ended"
	becauseBorne     = "it tolerates that"
	becauseFor       = "it tolerates that until " // and the time
)

// What the changes of pods of lost nodes say of their reason; see Eviction.
const (
	reasonReplaced = "its node is lost and its controller replaces it"
	reasonMoved    = "its node is lost and nobody else replaces it"
	reasonFailed   = "its node is lost and it does not restart"
	reasonLost     = "its node is lost"
	reasonKept     = "its node is lost and it has to stay"
)

// Outcomes of an eviction; they are label values of a metric.
const (
	Replaced = "replaced" // its controller makes another
	Moved    = "moved"    // to another node under its name
	Failed   = "failed"   // it doesn't restart
	Kept     = "kept"     // it is bound by name, or no other node could take it
)

// Evictions are all outcomes.
var Evictions = []string{Replaced, Moved, Failed, Kept}

// Eviction is what a change of this planner means for a pod of a lost node; empty when it is none of its evictions.
func Eviction(c change.Change) string {
	if c.Key.Kind != resource.Pods.Kind {
		return ""
	}
	switch c.Reason {
	case reasonReplaced:
		return Replaced
	case reasonMoved:
		return Moved
	case reasonFailed:
		return Failed
	case reasonKept:
		return Kept
	}
	return ""
}

// stay is why a pod of a lost node stays. It is kept in the pod's condition, so that an Event tells it once.
type stay struct {
	why  string
	tell bool
}

// bears is why a pod stays whose toleration has not ended, or never will.
func (t *task) bears(due clock.Now) stay {
	if due.IsNever() {
		return stay{becauseBorne, true}
	}
	return stay{becauseFor + t.moment(due), true}
}

// sameMoment bounds how much two sayings of one time may differ: the wall clock may have been set.
const sameMoment = 2 * time.Second

// says reports whether a message says this already.
func (s stay) says(before, message string) bool {
	if before == message {
		return true
	}
	at := len(message) - len(s.why)
	then, was := strings.CutPrefix(before[min(at, len(before)):], becauseFor)
	now, is := strings.CutPrefix(s.why, becauseFor)
	if !was || !is {
		return false
	}
	a, err := time.Parse(time.RFC3339, then)
	b, err2 := time.Parse(time.RFC3339, now)
	return err == nil && err2 == nil && a.Sub(b).Abs() <= sameMoment
}

// ready makes a pod of a lost node not Ready, and says why it stays; once the node is back it is what its containers
// are: its agent repeats nothing that has not changed.
func (t *task) ready(pod *corev1.Pod, rec change.Record, gone, returned bool, stays stay) {
	c := resource.PodCondition(pod, corev1.PodReady)
	switch {
	case gone:
		t.unready(pod, rec, c, stays)
	case c != nil && returned && c.Reason == reasonNotReady:
		containers := resource.PodCondition(pod, corev1.ContainersReady)
		if containers == nil {
			return
		}
		*c = corev1.PodCondition{
			Type: corev1.PodReady, Status: containers.Status, Reason: containers.Reason, Message: containers.Message,
			LastTransitionTime: *t.time(),
		}
		t.open().Put(resource.Pods, pod, rec.Rev, "its node is back")
	}
}

// unready writes the condition Ready of a pod that stays on a lost node, and the Events, unless it is there.
func (t *task) unready(pod *corev1.Pod, rec change.Record, before *corev1.PodCondition, stays stay) {
	message := "node " + t.node.name + " is lost: " + stays.why
	if before != nil && before.Reason == reasonNotReady && stays.says(before.Message, message) {
		return
	}
	if before != nil && before.Status == corev1.ConditionTrue {
		t.tell(pod, corev1.EventTypeWarning, "NodeNotReady", "Node is not ready")
	}
	reason := reasonLost
	switch {
	case !stays.tell:
	case stays.why == becausePinned, stays.why == becauseNowhere:
		reason = reasonKept
		t.tell(pod, corev1.EventTypeWarning, "PodStays", "Pod stays on lost node "+t.node.name+": "+stays.why)
	default:
		t.tell(pod, corev1.EventTypeNormal, "PodStays", "Pod stays on lost node "+t.node.name+": "+stays.why)
	}
	resource.SetPodCondition(pod, corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: reasonNotReady, Message: message,
		LastTransitionTime: *t.time(),
	})
	t.open().Put(resource.Pods, pod, rec.Rev, reason)
}
