package node

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// How often a node may be lost before pods are better off elsewhere: first the scheduler prefers others, then it
// takes no others, until the node has not been lost for a while.
const (
	someLosses, someWindow = 3, 10 * time.Minute
	manyLosses, manyWindow = 6, 30 * time.Minute
	stableAfter            = 10 * time.Minute
)

// flapping is how often a node was lost of late. It is kept in memory: after a restart of the master a node that is
// tainted has to be stable for its whole time again, and past losses are forgotten.
type flapping struct {
	losses []clock.Now // in manyWindow, oldest first
	effect corev1.TaintEffect
	times  int           // losses that it counts, and
	within time.Duration // in what time; 0: an earlier master has counted
	stable clock.Now     // since when it has not been lost
	says   string        // the condition's message; empty: not yet written
}

// enter follows a change of a node's state.
func (n *node) enter(next state, now clock.Now) {
	f := &n.flap
	if n.state == lost || n.state == unjudged {
		f.stable, f.says = now, ""
	}
	n.state = next
	if next != lost {
		return
	}
	f.says = ""
	f.losses = slices.DeleteFunc(append(f.losses, now), func(at clock.Now) bool { return now.Since(at) >= manyWindow })
	some := 0
	for _, at := range f.losses {
		if now.Since(at) < someWindow {
			some++
		}
	}
	switch many := len(f.losses); {
	case many >= manyLosses:
		f.effect, f.times, f.within = corev1.TaintEffectNoSchedule, many, manyWindow
	case f.effect == corev1.TaintEffectNoSchedule:
		// It stays so until the node is stable.
	case some >= someLosses:
		f.effect, f.times, f.within = corev1.TaintEffectPreferNoSchedule, some, someWindow
	}
}

// settle ends the flapping of a node that has been stable for long enough, and returns when it will be otherwise.
func (n *node) settle(now clock.Now) clock.Now {
	f := &n.flap
	if f.effect == "" || n.state == lost {
		return clock.Never
	}
	end := f.stable.Add(stableAfter)
	if now.Reached(end) {
		*f, n.dirty = flapping{}, true
		return clock.Never
	}
	return end
}

// flap sets the condition Flapping.
func (t *task) flap(object *corev1.Node) {
	f := &t.node.flap
	if f.effect == "" {
		if resource.NodeConditionTrue(object, resource.ConditionFlapping) {
			t.set(object, resource.ConditionFlapping, corev1.ConditionFalse, "Stable", fmt.Sprintf("Not lost for %s.", stableAfter))
		}
		return
	}
	if f.says == "" {
		often := "Lost again and again before this master's start"
		if f.within > 0 {
			often = fmt.Sprintf("Lost %d times in the last %s", f.times, f.within)
		}
		effect, until := "other nodes are preferred", fmt.Sprintf("it has not been lost for %s", stableAfter)
		if f.effect == corev1.TaintEffectNoSchedule {
			effect = "it takes no new pods"
		}
		if t.node.state != lost {
			until = t.moment(f.stable.Add(stableAfter)) + " unless it is lost again"
		}
		f.says = fmt.Sprintf("%s: %s until %s.", often, effect, until)
	}
	reason := "LostOften"
	if f.effect == corev1.TaintEffectNoSchedule {
		reason = "LostTooOften"
	}
	t.set(object, resource.ConditionFlapping, corev1.ConditionTrue, reason, f.says)
}
