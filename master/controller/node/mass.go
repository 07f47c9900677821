package node

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// massFailure is what is known of a time in which too many nodes are silent at once for this to be about nodes: a
// power cut, a switch, the master's own uplink. Pods of lost nodes then stay until fewer are silent, and have been for as
// long as the others may take to return, or the wait is over; after it one node after the other is evicted.
//
// Kubernetes' answer (--secondary-node-eviction-rate, 0.01 nodes a second and zone, none at all in zones of up to 50
// nodes) is made for zones of hundreds: five nodes would take eight minutes, or for ever. Here it is one node a
// heartbeat interval, so that before each a node that is back could have said so.
type massFailure struct {
	on     bool
	until  clock.Now // when the wait is over
	turn   clock.Now // when the next node may be evicted, after it
	calm   clock.Now // when it ends because few enough are silent; zero: too many are
	downAt clock.Now // when the master lost its broker meanwhile; zero: it has one
	says   string    // how many of how many nodes were silent at its begin
}

// count is how many nodes there are, how many of them are silent, and how many of those are lost and not evicted yet.
type count struct{ members, silent, waiting int }

// massive reports whether so many are silent that it is a mass failure: more than half of three or more, or both of
// two. A single node has nowhere to move its pods to.
func (c count) massive() bool {
	if c.members < 3 {
		return c.members == 2 && c.silent == 2
	}
	return 2*c.silent > c.members
}

// holds reports whether the pods of a lost node have to wait for the end of a mass failure.
func (c *Controller) holds(n *node) bool {
	return c.mass.on && n.state == lost && !n.released && c.counts(n)
}

// counts reports whether a node is one of those that may be silent: not gone, and heard before.
func (c *Controller) counts(n *node) bool {
	_, heard := c.seen[n.name]
	return !n.gone && (heard || !n.never)
}

// followMassFailure begins and ends a mass failure, and gives the nodes their turns after the wait. It returns when
// to look again.
func (c *Controller) followMassFailure(now clock.Now) clock.Now {
	m := &c.mass
	if c.config.MassFailureWait == 0 || c.blind() || len(c.troubled) == 0 && !m.on {
		return clock.Never // without a broker nothing is evicted at all
	}
	switch found := c.count(now); {
	case !m.on && found.massive() && found.waiting > 0:
		until := now.Add(c.config.MassFailureWait)
		*m = massFailure{on: true, until: until, turn: until, says: fmt.Sprintf("%d of %d nodes are silent", found.silent, found.members)}
	case m.on && found.waiting == 0:
		c.endMassFailure()
	case m.on && found.massive():
		m.calm = clock.Now{}
	case m.on && m.calm.Boot == 0:
		// What silenced them is over, it seems; the first to return is not the last.
		m.calm = now.Add(c.comeback())
	case m.on && now.Reached(m.calm):
		c.endMassFailure()
	}
	switch {
	case !m.on:
		return clock.Never
	case !now.Reached(m.until) && m.calm.Boot != 0:
		return clock.Earliest(m.until, m.calm)
	case !now.Reached(m.until):
		return m.until
	case now.Reached(m.turn):
		if n := c.nextHeld(); n != nil {
			n.released, n.dirty = true, true
		}
		m.turn = now.Add(c.config.Heartbeat)
	}
	return m.turn
}

// comeback is how long a node that can reach the broker again may take to be heard: as after a return of the broker
// itself, the longest wait between its attempts to connect, and an interval.
func (c *Controller) comeback() (longest time.Duration) {
	for _, n := range c.nodes {
		if c.holds(n) {
			longest = max(longest, c.backoffCap(n)+c.paced(n, c.config.Heartbeat))
		}
	}
	return longest
}

// count counts. Nodes that are gone for good, as far as anyone can tell, are neither silent nor there: those that this
// master has never heard and that were lost before its time, those that have been lost for the length of the wait
// before it began, and those that had their turn in an earlier mass failure. So a cluster that is half switched off
// for the winter is one of half the size, and what is silent is silent of late.
func (c *Controller) count(now clock.Now) (out count) {
	for _, n := range c.nodes {
		if !c.mass.on && n.state == lost && now.Since(n.lostAt) >= c.config.MassFailureWait {
			n.gone = true
		}
		if !c.counts(n) {
			continue
		}
		out.members++
		if n.state == lost || n.state == suspect || c.silent(n) {
			out.silent++
		}
		if n.state == lost && !n.released {
			out.waiting++
		}
	}
	return out
}

// silent reports whether it is proven that a node has been silent for more than one and a half of its intervals. The
// time before the start and without a broker doesn't count.
func (c *Controller) silent(n *node) bool {
	since := later(later(c.config.Start, n.since), c.link.Heard())
	if seen, heard := c.seen[n.name]; heard {
		since = later(since, seen.Heard())
	}
	return c.link.ProofBoot-since.Boot > c.paced(n, c.config.Heartbeat)*3/2
}

// nextHeld is the node whose turn it is: the one that was lost first, by name among equals.
func (c *Controller) nextHeld() (first *node) {
	for _, n := range c.nodes {
		if c.holds(n) && (first == nil || n.lostAt.Boot < first.lostAt.Boot ||
			n.lostAt.Boot == first.lostAt.Boot && n.name < first.name) {
			first = n
		}
	}
	return first
}

// endMassFailure lets everybody go. Nodes that had their turn and are still lost are gone.
func (c *Controller) endMassFailure() {
	for _, n := range c.nodes {
		if n.state == lost {
			n.dirty, n.gone = true, n.gone || n.released
		}
		n.released, n.held = false, ""
	}
	c.mass = massFailure{}
}

// suspendMassFailure stops the wait while the master has no broker: nobody could come back.
func (c *Controller) suspendMassFailure(at clock.Now, online bool) {
	m := &c.mass
	switch {
	case !m.on:
	case !online && m.downAt.Boot == 0:
		m.downAt = at
	case online && m.downAt.Boot != 0:
		lost := at.Since(m.downAt)
		m.until, m.turn, m.downAt = m.until.Add(lost), m.turn.Add(lost), clock.Now{}
		m.calm = clock.Now{} // nobody could return: it is counted anew
		for _, n := range c.nodes {
			if n.held != "" {
				n.held, n.dirty = "", true // it says until when
			}
		}
	}
}

// pause sets the condition EvictionPaused.
func (t *task) pause(object *corev1.Node) {
	n := t.node
	if t.holds(n) {
		if n.held == "" { // said once a pause: the number would change with each node
			n.held = fmt.Sprintf("%s: pods of lost nodes stay until fewer are, or until %s at the latest; then one node is evicted every %s.",
				t.mass.says, t.moment(t.mass.until), t.config.Heartbeat)
		}
		t.set(object, resource.ConditionEvictionPaused, corev1.ConditionTrue, "MassFailure", n.held)
		return
	}
	if !resource.NodeConditionTrue(object, resource.ConditionEvictionPaused) {
		return
	}
	switch {
	case n.state == fresh || t.blind():
		// Not decided yet.
	case n.state != lost:
		t.set(object, resource.ConditionEvictionPaused, corev1.ConditionFalse, "NodeReturned", "The node has returned.")
	case n.released || n.gone:
		t.set(object, resource.ConditionEvictionPaused, corev1.ConditionFalse, "WaitOver", "The wait is over: the node's pods are evicted.")
	default:
		t.set(object, resource.ConditionEvictionPaused, corev1.ConditionFalse, "FewerSilent", "Fewer nodes are silent: the node's pods are evicted.")
	}
}

// moment is a time of the boot clock, for people.
func (t *task) moment(at clock.Now) string {
	return t.now.Wall.Add(at.Since(t.now)).UTC().Round(time.Second).Format(time.RFC3339)
}
