// Package node is the Planner that decides which nodes are alive, and what becomes of the pods of one that is
// not. It alone writes Ready, Suspect, the taints that follow from a node's state, and the pods of a lost node.
//
//	seen (heartbeats, wills) ─► judge: alive · suspect · lost · new ─► Ready, Suspect, taints, Events
//	                                        └─► pods whose toleration has ended: replaced, moved, failed or kept
//
// A node is lost when its deadline has passed, which is the latest of: last heard + node-timeout, the master's
// start + node-timeout, the broker's return + back-off cap + one interval. A will that arrived since makes it
// suspect and the deadline no later than will + suspect-timeout. It is lost only by a probe of the master's that was
// sent after the deadline and has come back: a broker or a disk that hangs costs nobody anything. While the master
// has no broker nobody gets lost and nothing is evicted; a broker that comes and goes gives a node that is not heard
// the back-off cap and the interval once, counted while it is there. A lost node is so until it is heard again.
//
// When so many nodes are silent at once that it is hardly about nodes, nothing is evicted for a while, and then one node
// after the other: see massFailure. A node that is lost again and again is tainted: see flapping. A node whose link is
// metered has twice the time for everything.
//
// Pods of a lost node: one with a controller is deleted, for the controller to replace it; a bare one that
// restarts is moved, that is, it gets a new uid and no node under its old name in a single write; a bare one
// that doesn't restart has failed (NodeLost). One that its creator bound to the node (it lacks the annotation
// skerry.dev/scheduled), or that no other ready node could take, stays, and is not Ready until the node returns; its
// condition and one Event say why.
//
// Invariants: all times are of the boot clock and of this master: a restarted one gives every node and every
// toleration its full time again. The writes to a node and to its first evicted pods are one commit. A pod is
// never taken from a node that is not lost, except by a taint with effect NoExecute, and then with its grace.
package node
