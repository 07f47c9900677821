package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/skerry-edge/skerry/master/change"
)

// Memory is a Store that forgets everything at its end: for tests and the simulation. It starts no goroutine,
// so a run in which one goroutine commits is the same each time.
type Memory struct {
	core       *Core
	replicator Replicator

	mu     sync.Mutex // one writer at a time
	closed bool
}

var _ Store = (*Memory)(nil)

// Config of a Memory.
type Config struct {
	Schema Schema
	// Epoch of the writes; the zero value stands for the first start in term 0.
	Epoch change.Epoch
	// Replicator is told of every durable write before it is acknowledged; nil for none.
	Replicator Replicator
	// Records are what an earlier run has left, and Loaded the revision that they were last written at: for a
	// simulation that restarts a master. nil for an empty store.
	Records iter.Seq[change.Record]
	Loaded  change.Rev
}

// NewMemory returns a store that holds Config.Records.
func NewMemory(config Config) *Memory {
	if config.Epoch == (change.Epoch{}) {
		config.Epoch = config.Epoch.Next() // no client shall ever see revision 0: to Kubernetes it means "any"
	}
	return &Memory{
		core: NewCore(CoreConfig{
			Schema: config.Schema, Epoch: config.Epoch, Records: config.Records, Loaded: config.Loaded,
		}),
		replicator: config.Replicator,
	}
}

// View is Store.View.
func (m *Memory) View() change.View { return m.core.View() }

// Epoch is Store.Epoch.
func (m *Memory) Epoch() change.Epoch { return m.core.Epoch() }

// Watch is Store.Watch.
func (m *Memory) Watch(kind change.Kind, from change.Rev, wake func()) (Cursor, error) {
	return m.core.Watch(kind, from, wake)
}

// Commit is Store.Commit.
func (m *Memory) Commit(ctx context.Context, changes []change.Change) (change.Rev, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, ErrClosed
	}
	volatile, err := m.core.Check(changes)
	if err != nil {
		return 0, err
	}
	if m.core.Room() == 0 {
		m.core.Begin(m.core.Epoch().Next())
	}
	commit, err := m.core.Apply(changes)
	if err != nil {
		return 0, err
	}
	if m.replicator != nil && !volatile && len(commit.Events) > 0 {
		err := m.replicator.Replicate(ctx, m.core.Epoch(), Batch{Commits: []Commit{commit}})
		if err != nil && !errors.Is(err, ErrAway) {
			m.core.Revert()
			return 0, fmt.Errorf("replicate revision %s: %w", commit.Rev, err)
		}
	}
	m.core.Publish()
	return commit.Rev, nil
}

// Advance begins an epoch newer than beyond, if the present one isn't: after an election, or when somebody has
// seen a newer epoch than ours.
func (m *Memory) Advance(beyond change.Epoch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if !beyond.Less(m.core.Epoch()) {
		m.core.Begin(beyond.Next())
	}
	return nil
}

// Close ends all cursors and refuses further commits.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.core.Close()
	return nil
}
