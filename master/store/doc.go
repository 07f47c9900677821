// Package store says what the cluster's state can do: be seen whole at one revision (View), be changed
// optimistically (Commit), and be followed (Watch). The interface and the in-memory part are here; package
// bolt adds the disk; storetest is the contract, run on both.
//
//	Commit ─► check revisions ─► replicate (etcd) ─► fsync (bbolt) ─► new View ─► cursors wake ─► answer
//
// Loops pull: a watch is a Cursor that its owner drains when woken, so nothing is called back with data and a
// run can be replayed exactly. Objects live in memory, encoded; indexes come in as data.
package store
