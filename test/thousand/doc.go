// Package thousand holds a takeover to its promises with a fleet as large as the embedded broker serves: a thousand whole
// agents with the fake engine in the test's process, two real masters and a real etcd beside it, all on loopback.
//
//	agents (1,000, here) ──mqtts──► skerry-master, leads ──┐
//	   └───────────────────────────► skerry-master, follows ─┴─► etcd
//
// It ends only processes that it has started.
package thousand
