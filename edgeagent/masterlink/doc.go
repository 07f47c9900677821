// Package masterlink is the agent's connection with the master over the bus: it hears who leads, says hello,
// reports and heartbeats, stores the desired state and then hands it to the node.
//
//	bus ─► inbox ─► open ─► peer (decides) ─► disk (fsync) ─► Local.Accept
//	           Local.Statuses ─► peer ─► bus
//
// The machine in package peer decides everything; this package is the world around it: the sealed envelopes, the
// keys, the disk, the clock and the randomness. Invariants: nothing is looked at that the master has not sealed for
// this run, but the leader's announcement, which is signed, and the desired state, which is for any run; a desired state is on disk before the node
// hears of it; the node runs what the disk says from the first Step on, whether or not anybody answers; nothing
// here waits for the network.
package masterlink
