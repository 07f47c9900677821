package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	bbolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/ballast"
)

// Store is a store.Store on disk. Open starts its writer, Close ends it.
type Store struct {
	config  Config
	core    *store.Core
	db      *bbolt.DB
	update  func(func(*bbolt.Tx) error) error // db.Update; tests let it fail
	lock    *os.File
	ballast *ballast.Ballast
	sealing sealing

	requests chan *request
	advances chan *advance
	calls    chan *call
	follows  atomic.Bool   // Commit is for another master
	closing  chan struct{} // closed by Close
	stopped  chan struct{} // closed by the writer when it has ended
	life     context.Context
	end      context.CancelFunc // of life, the context of the Replicator
	once     sync.Once
	closed   error // of Close

	// The writer's own.
	rev     change.Rev // newest durable revision
	reserve int        // commits that a batch may need revisions for

	failed  chan struct{} // closed when broken is set
	broken  error         // the file may hold a write that was refused; only a restart helps
	snap    snapshots
	writing sync.Mutex // one snapshot at a time
}

var _ store.Store = (*Store)(nil)

func newStore(config Config, sealed sealing, b *ballast.Ballast, db *bbolt.DB, core *store.Core, rev change.Rev) *Store {
	s := &Store{
		config:   config,
		core:     core,
		ballast:  b,
		sealing:  sealed,
		db:       db,
		update:   db.Update,
		requests: make(chan *request, maxBatch),
		advances: make(chan *advance),
		calls:    make(chan *call),
		closing:  make(chan struct{}),
		stopped:  make(chan struct{}),
		failed:   make(chan struct{}),
		rev:      rev,
		reserve:  maxBatch,
	}
	s.follows.Store(config.Follows)
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// View is Store.View.
func (s *Store) View() change.View { return s.core.View() }

// Epoch is Store.Epoch.
func (s *Store) Epoch() change.Epoch { return s.core.Epoch() }

// Watch is Store.Watch.
func (s *Store) Watch(kind change.Kind, from change.Rev, wake func()) (store.Cursor, error) {
	return s.core.Watch(kind, from, wake)
}

// Commit is Store.Commit.
func (s *Store) Commit(ctx context.Context, changes []change.Change) (change.Rev, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.follows.Load() {
		return 0, store.ErrNotLeader
	}
	volatile, err := s.core.Check(changes)
	if err != nil {
		return 0, err
	}
	r := &request{ctx: ctx, changes: changes, volatile: volatile, done: make(chan result, 1)}
	select {
	case <-s.closing:
		return 0, store.ErrClosed
	default:
	}
	select {
	case s.requests <- r:
	case <-s.closing:
		return 0, store.ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return await(ctx, r.done, s.stopped)
}

// Advance begins an epoch newer than beyond, if the present one isn't: after an election, or when somebody has
// seen a newer epoch than ours. The epoch is durable when Advance returns.
func (s *Store) Advance(beyond change.Epoch) error {
	a := &advance{beyond: beyond, done: make(chan result, 1)}
	select {
	case s.advances <- a:
	case <-s.closing:
		return store.ErrClosed
	}
	_, err := await(context.Background(), a.done, s.stopped)
	return err
}

// await waits for an answer of the writer, which has always answered what it took before it stops.
func await(ctx context.Context, done <-chan result, stopped <-chan struct{}) (change.Rev, error) {
	select {
	case r := <-done:
		return r.rev, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-stopped:
	}
	select {
	case r := <-done:
		return r.rev, r.err
	default:
		return 0, store.ErrClosed
	}
}

// Close ends the watches and the writer, and lets go of the directory. Commits that wait get ErrClosed.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.closing)
		s.end()
		<-s.stopped
		s.core.Close()
		s.closed = errors.Join(s.db.Close(), s.lock.Close())
	})
	return s.closed
}

// Meta returns one of the master's own settings, nil if it was never set. All of them are encrypted in the file.
func (s *Store) Meta(name string) ([]byte, error) {
	var value []byte
	err := s.db.View(func(tx *bbolt.Tx) error {
		stored := tx.Bucket(settingsBucket).Get([]byte(name))
		if stored == nil {
			return nil
		}
		content, ok := unseal([]byte(name), stored)
		if !ok {
			return fmt.Errorf("setting %q: %w", name, errCorrupt)
		}
		var err error
		value, err = s.sealing.openSetting([]byte(name), content)
		return err
	})
	return value, closedError(err)
}

// SetMeta keeps a setting; it is durable when SetMeta returns. nil removes it. Errors: ErrFull, ErrClosed.
func (s *Store) SetMeta(name string, value []byte) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if value == nil {
			return tx.Bucket(settingsBucket).Delete([]byte(name))
		}
		return tx.Bucket(settingsBucket).Put([]byte(name), s.sealing.sealSetting([]byte(name), value))
	})
	if err != nil {
		return fmt.Errorf("keep setting %q: %w", name, closedError(s.diskError(err)))
	}
	return nil
}

func closedError(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}
