// Package sealed is how both ends of the wire send:
//
//	message ─► encode ─► number ─► seal for one run of the other end ─► bus
//
// Invariants: one counter numbers all messages of a run, on whatever topic, so that "before" has a meaning across
// them and no nonce comes twice; messages reach the bus in the order of their numbers, whoever sends them. What is
// not sealed is the leader's announcement alone, which is signed.
package sealed
