// Package join makes a machine a node of a cluster: it shows the master a join token and the node's public key.
//
//	connected ─► ask ─► challenge ─► proof (token) ─► verdict
//
// Every message may be lost: the ask is repeated, ever more rarely, until a verdict has come, and so is the proof, for
// each answer to an ask is followed by one. The machine's own clock doesn't matter. What comes from anybody but the
// holder of the cluster's key, or belongs to another attempt, does not open.
package join
