// Package broker is the MQTT broker inside the master, on mochi, for fleets of up to a few hundred nodes.
//
//	node ── TLS ──► listener (limits) ─► mochi (accounts, access rules) ─► in-memory pipe ─► the master's bus
//
// It is only a pipe, and forgets everything when it ends: both sides of the protocol notice and say it again. Its
// invariants: nobody without a password costs more than a few kilobytes, for a few seconds; a node publishes and
// reads its own topics only; one slow node can't hold up the others for longer than a write may take; queues are
// bounded, and what overflows is dropped and counted.
package broker
