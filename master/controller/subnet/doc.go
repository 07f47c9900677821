// Package subnet is the Planner that gives each node a subnet of its own for its pods: Node.spec.podCIDR.
//
//	nodes, oldest first: keeps its own if it can ─► the others: the lowest that is free, or an Event
//
// A node keeps its subnet as long as it exists, also over restarts of the master, if it is a /24 of --pod-cidr
// that no older node has. One that is not (the flag was changed, or a user wrote it) is replaced; agents go over
// to a new subnet pod by pod. A deleted node's subnet is free at once.
//
// Invariants: after a plan was carried out no two nodes have overlapping subnets, each lies in the range, and
// planning again returns nothing.
package subnet
