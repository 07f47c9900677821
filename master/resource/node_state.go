package resource

import corev1 "k8s.io/api/core/v1"

// Conditions of a Node that the node controller writes beside Ready. A node that never was in such a state has none.
const (
	// ConditionSuspect is True on a node whose connection has ended without a word and whose time-out has not yet
	// come.
	ConditionSuspect corev1.NodeConditionType = "Suspect"
	// ConditionEvictionPaused is True on a lost node whose pods stay because too many nodes are silent at once.
	ConditionEvictionPaused corev1.NodeConditionType = "EvictionPaused"
	// ConditionFlapping is True on a node that was lost too often of late.
	ConditionFlapping corev1.NodeConditionType = "Flapping"
)

// TaintFlapping is the taint of a node that is lost again and again. It is the node controller's alone: what others
// put there under this key is taken off when the node has been stable for a while.
const TaintFlapping = "skerry.dev/flapping"

// The label of a node that says what its link is like. One that is metered has twice the time for everything, and
// sends half the heartbeats.
const (
	LabelLink   = "skerry.dev/link"
	LinkMetered = "metered"
)

// MeteredPace is by how much the times of a node with a metered link are longer.
const MeteredPace = 2

// Metered reports whether a node's labels say that its link is metered.
func Metered(labels map[string]string) bool { return labels[LabelLink] == LinkMetered }

// States of a node, as its conditions have them; they are label values of metrics.
const (
	NodeUnheard = "unheard" // it has joined and was never heard
	NodeReady   = "ready"
	NodeSuspect = "suspect"
	NodeLost    = "lost"
)

// NodeStates are all states of a node.
var NodeStates = []string{NodeUnheard, NodeReady, NodeSuspect, NodeLost}

// NodeState is a node's state.
func NodeState(node *corev1.Node) string {
	ready := NodeCondition(node, corev1.NodeReady)
	switch {
	case ready == nil || ready.Status == corev1.ConditionFalse:
		return NodeUnheard
	case ready.Status != corev1.ConditionTrue:
		return NodeLost
	case NodeConditionTrue(node, ConditionSuspect):
		return NodeSuspect
	}
	return NodeReady
}

// NodeConditionTrue reports whether a node has a condition, and it is True.
func NodeConditionTrue(node *corev1.Node, kind corev1.NodeConditionType) bool {
	c := NodeCondition(node, kind)
	return c != nil && c.Status == corev1.ConditionTrue
}
