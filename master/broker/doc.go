// Package broker is the MQTT broker inside the master, on mochi, for fleets of up to a few hundred nodes.
//
//	node ── TLS ──► listener (limits) ─► mochi (accounts, access rules) ─► Local: the master's bus
//
// It is only a pipe, and forgets everything when it ends: both sides of the protocol notice and say it again. Its
// invariants: nobody without a password costs more than a few kilobytes, for a few seconds; a node publishes and
// reads its own topics only; what a node sends reaches the master whole; a node that doesn't read what it is sent
// holds up nobody; queues to nodes are bounded, and what overflows is dropped and counted.
package broker
