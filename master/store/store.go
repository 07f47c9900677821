package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/skerry-edge/skerry/master/change"
)

// Errors of Commit and Watch.
var (
	ErrConflict  = errors.New("the object has been changed meanwhile")
	ErrNotLeader = errors.New("this master does not lead")
	ErrFull      = errors.New("the store has no room")
	ErrCompacted = errors.New("the revision is older than the history kept")
	ErrClosed    = errors.New("the store is closed")
	// ErrAway is a Replicator's answer when etcd can't be reached: the write is journaled and goes on.
	ErrAway = errors.New("etcd is away")
	// ErrUnsure is an ErrAway after which nobody knows yet whether etcd has got the write.
	ErrUnsure = fmt.Errorf("%w, and may have got the write", ErrAway)
)

// Store is the state of the cluster. All methods may be called from several goroutines.
type Store interface {
	// View is the state after the last acknowledged commit. It does not block.
	View() change.View

	// Commit applies the changes together or not at all, and returns the revision of the write once it is
	// as durable as the store makes it (after the fsync, for package bolt). Concurrent commits share one
	// fsync; each has its own revision. A commit in which nothing changes returns the current revision and
	// writes nothing. A commit touches either volatile kinds or durable ones, not both. Errors: ErrConflict
	// (as *ConflictError, naming the object), ErrFull, ErrNotLeader, ErrClosed, or ctx's, in which case the
	// write may still happen.
	Commit(ctx context.Context, changes []change.Change) (change.Rev, error)

	// Watch starts after revision from and yields the writes to a kind in order. wake is called, from any
	// goroutine, when Next has something; it must not block. Returns ErrCompacted when the history no longer
	// reaches back to from, or when from lies in no block of revisions that this store knows.
	Watch(kind change.Kind, from change.Rev, wake func()) (Cursor, error)

	// Epoch is the epoch that the store's writes belong to now.
	Epoch() change.Epoch
}

// Cursor is a place in the history of one kind. It is used by one goroutine.
type Cursor interface {
	// Next returns the next write; ok is false when there is none yet. ErrCompacted ends a cursor that
	// fell behind the bounded history: its owner lists again.
	Next() (event change.Event, ok bool, err error)
	// Rev is the revision up to which the cursor has seen everything of its kind: at least that of the last
	// event, and as new as the store when Next last said that there is none. Bookmarks carry it.
	Rev() change.Rev
	Close()
}

// Batch is what one fsync makes durable: several commits, in order.
type Batch struct{ Commits []Commit }

// Commit is one atomic write with its revision.
type Commit struct {
	Rev    change.Rev
	Events []change.Event
	Reason string // of its first change
}

// Replicator is told of every durable write before it is acknowledged. etcdsync implements it; a master
// without etcd has none.
type Replicator interface {
	// Replicate blocks until the batch is safe elsewhere. ErrAway lets the write go on, into the journal;
	// every other error refuses it. A repeated batch is no error.
	Replicate(ctx context.Context, epoch change.Epoch, batch Batch) error
}

// Retractor is a Replicator that wants to know of batches which it took and which could not be written here after
// all: nobody was told that they happened, and the other store must forget them.
type Retractor interface {
	// Retract is called before any further Replicate.
	Retract(batch Batch)
}

// Index computes one index of a kind from an object's encoding. An empty result leaves the object out.
// Indexes are data: the wiring hands them in, so that the store knows no kind by name.
type Index struct {
	Name string
	Of   func(value []byte) string
}

// Schema tells a store what it needs to know of the kinds it holds.
type Schema struct {
	Indexes  map[change.Kind][]Index
	Volatile map[change.Kind]bool // in memory only, never written to disk
	// History is the number of events kept for the watches of a kind; 0 means DefaultHistory.
	History map[change.Kind]int
}

// DefaultHistory is how many events of a kind a watch can go back.
const DefaultHistory = 2048

// ConflictError says which object a commit failed on; errors.Is(err, ErrConflict) holds.
type ConflictError struct {
	Key         change.Key
	Base, Found change.Rev // Found is 0 when the object does not exist
}

func (e *ConflictError) Error() string {
	return "commit " + e.Key.String() + ": " + ErrConflict.Error() + " (based on " + e.Base.String() + ", found " + e.Found.String() + ")"
}

func (e *ConflictError) Unwrap() error { return ErrConflict }
