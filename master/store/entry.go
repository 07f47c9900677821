package store

import "github.com/skerry-edge/skerry/master/change"

// Entry is a line of a store's journal: an object that the Replicator's store has not got as it is here, because it was
// away.
type Entry struct {
	Key change.Key
	// Replaced is the revision of the value that the other store has; 0: it has none.
	Replaced change.Rev
	// Newest is the revision of the newest write here. An object that is not in the View was deleted by it.
	Newest change.Rev
	// User says that at least one of the writes was somebody's will.
	User bool
	// Unsure says that the other store may have got a write of it, though nothing said so.
	Unsure bool
	// By is the reason of the newest such write, which names who asked for it, and At when it was: Unix seconds of the wall
	// clock, 0 if there was none.
	By string
	At int64
}
