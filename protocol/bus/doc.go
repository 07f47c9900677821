// Package bus is the pipe between master and agents as the loops see it: publish, subscribe into an inbox,
// ask whether there is a connection.
//
//	loop ── Publish ──► bus ──► broker ──► bus ──► Inbox.Put ── wake ──► loop: Step drains the inbox
//
// Nothing is ever called back with a message: a bus appends to an inbox and sets the loop's wake-up, so that
// a simulation can replay a run message by message. Package mqtt is the real bus, on paho; Memory, here, is
// the broker and all its clients inside one process, for tests and the simulation. One contract suite,
// bustest, runs on every one of them.
package bus
