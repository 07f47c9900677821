// Package nodelink is the master's connection with all nodes over the bus. It and package enroll alone use the bus:
//
//	store events ─► desired.Book ─► n/<node>/desired
//	bus ─► inbox ─► open with the node's key ─► peer (one machine a node, decides)
//	                  peer ─► statuses, Gone pods, Node objects ─► one commit
//	                       ─► Seen records ─► one volatile commit
//	                       ─► welcomes and questions ─► n/<node>/req
//
// Of a node's object it writes status, labels and creation, never Ready, taints or spec, which are the node
// controller's; of a pod its status, and its deletion once the node says that nothing is left of it. Everything
// is level-triggered: what a failed commit or a lost message leaves out, the next heartbeat shows.
//
// The record of the master's own line says when the newest probe was sent that has come back, and is in one commit
// with all that was heard before: nobody takes a silence for a node's that is the broker's or a slow disk's.
//
// The keys of nodes are records of the store, and follow it: a node without one costs nothing; a key changes, and a new
// one is put in force, in a commit of its own; a node whose key is revoked is told so, and nothing else.
//
// A Step handles everything that has arrived, commits, and then sends: nothing is said about a write that might
// not have happened.
package nodelink
