package node

import (
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// state is what the controller holds a node to be.
type state int

const (
	unjudged state = iota
	fresh          // not heard of since the master's start, and not yet overdue
	alive
	suspect // alive, but its connection has ended without a word
	lost
)

// node is what the controller knows of a node.
type node struct {
	name     string
	uid      types.UID
	labels   map[string]string
	taints   []corev1.Taint
	cordoned bool

	state  state
	since  clock.Now // when this planner first judged it
	lostAt clock.Now
	// lastWord is when a lost node was last heard of, by the boot clock: only a later word revives it.
	lastWord time.Duration
	dirty    bool
	again    clock.Now // when a toleration ends next

	metered  bool   // its label says that its link is
	never    bool   // its object says that it was never heard
	gone     bool   // it was lost so long ago that it doesn't count; see count
	released bool   // it had its turn in this mass failure
	held     string // what the condition EvictionPaused says; empty: not yet written
	flap     flapping
	// taintedAt is when this planner first saw a taint with effect NoExecute.
	taintedAt map[taintKey]clock.Now
}

type taintKey struct{ key, value string }

func read(object *corev1.Node) *node {
	n := &node{
		name: object.Name, uid: object.UID, labels: object.Labels, cordoned: object.Spec.Unschedulable,
		dirty: true, again: clock.Never, taintedAt: map[taintKey]clock.Now{},
	}
	for _, t := range object.Spec.Taints {
		n.taints = append(n.taints, corev1.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
		if t.Key == resource.TaintFlapping && t.Effect != corev1.TaintEffectNoExecute {
			n.flap.effect = t.Effect
		}
	}
	ready := resource.NodeCondition(object, corev1.NodeReady)
	n.metered, n.never = resource.Metered(object.Labels), ready == nil || ready.Reason == reasonNever
	// One that an earlier master has given up, and whose pods it has not held back, is none of this one's losses.
	n.gone = ready != nil && ready.Status == corev1.ConditionUnknown && !resource.NodeConditionTrue(object, resource.ConditionEvictionPaused)
	return n
}

// keep takes over what the planner has found out about the node itself.
func (n *node) keep(before *node) {
	n.state, n.since, n.again = before.state, before.since, before.again
	n.lostAt, n.lastWord = before.lostAt, before.lastWord
	n.gone, n.released, n.held, n.flap = before.gone, before.released, before.held, before.flap
	for _, t := range n.taints {
		if at, ok := before.taintedAt[taintKey{t.Key, t.Value}]; ok && t.Effect == corev1.TaintEffectNoExecute {
			n.taintedAt[taintKey{t.Key, t.Value}] = at
		}
	}
}

// takesLike reports whether both take the same pods.
func (n *node) takesLike(o *node) bool {
	return n.uid == o.uid && n.cordoned == o.cordoned && slices.Equal(n.taints, o.taints) && maps.Equal(n.labels, o.labels)
}

// evicts reports whether pods may have to leave the node.
func (n *node) evicts() bool {
	return n.state == lost || slices.ContainsFunc(n.taints, func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute
	})
}

func byName(a, b *node) int { return strings.Compare(a.name, b.name) }

// judge says what a node is now, and until when it is if nothing is heard.
func (c *Controller) judge(n *node, now clock.Now) (state, clock.Now) {
	if n.state == unjudged {
		n.since = now
	}
	seen, heard := c.seen[n.name]
	if n.state == lost && seen.HeardBoot <= n.lastWord {
		return lost, clock.Never
	}
	deadline := later(c.config.Start, n.since).Add(c.paced(n, c.config.NodeTimeout))
	if heard {
		deadline = later(c.config.Start, seen.Heard()).Add(c.paced(n, c.config.NodeTimeout))
	}
	up := c.config.Start
	if c.link != nil {
		up = c.link.Heard()
		deadline = later(deadline, up.Add(max(0, c.backoffCap(n)+c.paced(n, c.config.Heartbeat)-c.waited[n.name])))
	}
	offline := heard && !seen.Online && seen.OfflineBoot >= up.Boot
	if offline {
		will := clock.Now{Boot: seen.OfflineBoot}.Add(c.paced(n, c.config.SuspectTimeout))
		deadline = clock.Earliest(deadline, will)
	}
	if c.blind() || now.Reached(deadline) && deadline.Boot > c.link.ProofBoot {
		// Nothing can be heard, or it isn't known whether anything could: silence says nothing. The next record of
		// the link says more.
		deadline = clock.Never
	}
	switch {
	case now.Reached(deadline):
		return lost, clock.Never
	case !heard:
		return fresh, deadline
	case offline:
		return suspect, deadline
	}
	return alive, deadline
}

// blind reports whether the master has no broker, or hasn't said that it has.
func (c *Controller) blind() bool { return c.link == nil || !c.link.Online }

// followLink takes in a record of the master's own connection. When a time with a broker ends, what of it is
// proven is taken from the nodes that said nothing in it: coming back again gives them only what is left.
func (c *Controller) followLink(next resource.Seen) {
	last := c.link
	c.link, c.around = &next, c.around || last == nil || last.Online != next.Online
	c.suspendMassFailure(next.Heard(), next.Online)
	if last == nil || !last.Online || next.Online && next.HeardBoot == last.HeardBoot {
		return
	}
	proof := last.ProofBoot
	if !next.Online {
		proof = next.ProofBoot
	}
	for name := range c.nodes {
		if c.seen[name].HeardBoot < last.HeardBoot && proof > last.HeardBoot {
			c.waited[name] += proof - last.HeardBoot
		}
	}
}

// paced is a time as it holds for a node: longer when its link is metered, and until it surely knows that it no longer
// is. nodelink says so, which tells the node.
func (c *Controller) paced(n *node, d time.Duration) time.Duration {
	if n.metered || c.seen[n.name].Slow {
		return d * resource.MeteredPace
	}
	return d
}

// backoffCap is the longest wait of an agent between attempts to connect (edgeagent/masterlink).
func (c *Controller) backoffCap(n *node) time.Duration {
	return min(maxBackoff, c.paced(n, c.config.NodeTimeout)/2)
}

func later(a, b clock.Now) clock.Now {
	if a.Boot > b.Boot {
		return a
	}
	return b
}

// takes reports whether a pod that has to go could go to the node.
func (n *node) takes(pod *corev1.Pod) bool {
	if n.state != alive && n.state != suspect || n.cordoned {
		return false
	}
	for key, value := range pod.Spec.NodeSelector {
		if have, ok := n.labels[key]; !ok || have != value {
			return false
		}
	}
	return resource.Untolerated(pod.Spec.Tolerations, n.taints, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute) == nil
}
