// Package agent makes a node's agent of its parts: it opens the data directory, joins, and runs the engine, the
// control loop, the bus and the link to the master until its context ends. Containers go on running then.
//
//	New: directory ─► disk (locks it) ─► identity or --join ─► engine ─► machine ─► reconcile ─► bus ─► masterlink
//	Run: images/ imported ─┬─ reconcile: what the disk says runs, with or without a master
//	                       └─ bus ─► masterlink ─► disk ─► reconcile
//
// What a user can mend at the start fails in New, in one line. What may come and go (the engine, the broker, the
// master) never ends the agent: it keeps trying, and /readyz and the log say what is missing and what to do.
package agent
