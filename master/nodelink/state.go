package nodelink

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// nodeState is what metrics show of a node. The node controller decides it and has no metrics: they follow from what
// it has written.
type nodeState struct {
	state            string
	paused, flapping bool
}

// countNodes begins anew with the nodes of a view. Those that are known change as by a write that was missed.
func (l *Link) countNodes(view change.View) {
	for name := range l.states {
		if _, ok := view.Get(resource.Nodes.Key("", name)); !ok {
			l.countNode(name, change.Record{})
		}
	}
	for rec := range view.List(resource.Nodes.Kind, "") {
		l.countNode(rec.Key.Name, rec)
	}
	l.recount = true // also when there are none
}

// countNode notes what a node is now.
func (l *Link) countNode(name string, rec change.Record) {
	before, known := l.states[name]
	node, err := resource.As[*corev1.Node](resource.Nodes, rec)
	if !rec.Exists() || err != nil {
		delete(l.states, name)
		l.recount = true
		return
	}
	after := nodeState{
		state:    resource.NodeState(node),
		paused:   resource.NodeConditionTrue(node, resource.ConditionEvictionPaused),
		flapping: resource.NodeConditionTrue(node, resource.ConditionFlapping),
	}
	if known && before == after {
		return
	}
	l.states[name] = after
	if known && before.state != after.state {
		l.metrics.transitions.WithLabelValues(before.state, after.state).Inc()
	}
	l.recount = true
}

// showStates sets the gauges when a node has changed. That is rare: counting all nodes is cheap enough.
func (l *Link) showStates() {
	if !l.recount {
		return
	}
	l.recount = false
	count, paused, flapping := map[string]int{}, 0, 0
	for _, s := range l.states {
		count[s.state]++
		if s.paused {
			paused++
		}
		if s.flapping {
			flapping++
		}
	}
	for _, state := range resource.NodeStates {
		l.metrics.nodes.WithLabelValues(state).Set(float64(count[state]))
	}
	l.metrics.paused.Set(float64(paused))
	l.metrics.flapping.Set(float64(flapping))
}
