package merge

import (
	"bytes"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

// Action is what happens with a write.
type Action string

// The actions.
const (
	Push     Action = "push"     // etcd gets it
	Drop     Action = "drop"     // nothing is lost by forgetting it
	Conflict Action = "conflict" // it has lost, and is kept for a person to see
)

// Write is one object as this master has it, beside what the journal says.
type Write struct {
	store.Entry
	Value []byte // nil: it was deleted
}

// Verdict is a decision, and why.
type Verdict struct {
	Action Action
	Reason string
}

// Judge decides about one write. held is what etcd has under its key, the zero Record if nothing; term is the newest
// term in which anybody has led.
func Judge(w Write, held change.Record, term uint32) Verdict {
	ours := w.Newest.Epoch().Term
	switch {
	case held.Exists() && held.Rev == w.Newest:
		return Verdict{Drop, "etcd has it"}
	case w.Value == nil && !held.Exists():
		return Verdict{Drop, "it is deleted there too"}
	case term <= ours:
		return Verdict{Push, "no other master has led"}
	case !w.User:
		return Verdict{Drop, "it was nobody's will, and the present leader decides anew"}
	case !held.Exists() && w.Replaced == 0 && w.Unsure:
		return Verdict{Conflict, "another master may have deleted it since"}
	case held.Rev == w.Replaced:
		return Verdict{Push, "nobody has written it since"}
	case held.Exists() && held.Rev.Epoch().Term == ours:
		return Verdict{Push, "what is there is this master's own"}
	case held.Exists() && w.Value != nil && bytes.Equal(held.Value, w.Value):
		return Verdict{Drop, "the other master has written the same"}
	case !held.Exists():
		return Verdict{Conflict, "another master has deleted it since"}
	}
	return Verdict{Conflict, "another master has written it since"}
}

// Side is how far a master, or etcd, has come.
type Side struct {
	Empty bool // there is nothing
	Term  uint32
	Rev   change.Rev // of its newest write
}

// Start is what a master does with its state when it meets etcd.
type Start string

// What it may do.
const (
	Create Start = "create" // both are empty: a new cluster
	Load   Start = "load"   // etcd's state counts; the journal, if any, is offered to who leads
	Resume Start = "resume" // etcd lacks no more than what the journal says
	Refill Start = "refill" // etcd has lost what this master has: all of it is put there, in a new term
)

// Meet compares the two. journal says that there are writes which etcd has not got.
func Meet(own, etcd Side, journal bool) Start {
	switch {
	case own.Empty && etcd.Empty:
		return Create
	case own.Empty:
		return Load
	case etcd.Empty, own.Term > etcd.Term:
		return Refill
	case own.Term < etcd.Term:
		return Load
	case journal:
		return Resume
	case own.Rev > etcd.Rev:
		return Refill
	}
	return Load
}
