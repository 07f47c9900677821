// Package sim runs a whole cluster in virtual time: the real loops of one master and of several agents, over a
// store, a broker, engines and disks in memory, stepped from one goroutine.
//
//	script, user, faults ─► World: queue of what is due ─► Step of whoever is woken or due, in random order
//	                           ▲                                │
//	                           └── packets, finished work ◄─────┘      after each step: invariants, trace
//
// All chance comes from one seeded source and nothing reads a real clock, so a seed replays to the byte: its
// trace, written line by line, has the same hash each time. Every machine has clocks of its own, which run fast
// or slow and jump; whatever is due is put on the world's one time line.
//
// A process dies at any of its writes (to a store, a disk or an engine) and everything it had in memory goes
// with it; what an engine, a disk or the broker keeps stays, unless the fault is that it doesn't. The invariants
// of check.go hold after every step, those of quiet.go once the faults have ended and time has passed. The
// first one broken stops the world.
package sim
