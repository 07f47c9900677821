package store

import (
	"bytes"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/skerry-edge/skerry/master/change"
)

// Core is what every Store has in common: the state in memory, its history and its watches. It does no I/O.
//
// A write has two halves, so that a store can make it durable in between:
//
//	Apply ─► tip (seen by nobody, the next Apply builds on it) ─► Publish ─► View, cursors wake
//	                                                          └─► Revert: it never happened
//
// Apply, Publish, Revert, Room and Begin belong to one writer at a time; the rest is safe for everybody.
type Core struct {
	schema Schema
	loaded change.Rev // what the state that the core started from was last written at

	// The writer's own.
	tip     *state
	last    change.Rev           // newest revision given out; never goes back, not even by Revert
	applied []written            // how tip and view differ
	touched map[change.Kind]bool // the kinds of these writes

	view atomic.Pointer[state]

	mu        sync.RWMutex // guards what follows, and makes a new view and its history appear at once
	blocks    []block
	histories map[change.Kind]*history
	closed    bool
}

// block is the part of an epoch's revisions that has been published.
type block struct {
	epoch       change.Epoch
	first, last change.Rev
}

// CoreConfig says what a Core starts with.
type CoreConfig struct {
	Schema Schema
	// Epoch is the epoch of the writes to come. No write of it may have happened before.
	Epoch change.Epoch
	// Records are the objects of an earlier run, in any order; nil for none.
	Records iter.Seq[change.Record]
	// Loaded is the revision that these objects were last written at: a watch may still start from there.
	Loaded change.Rev
	// Follows says that no write of this master's own comes until Begin: the core starts at Loaded, which another
	// master gave out or an earlier run, and Epoch is the one that it lies in.
	Follows bool
}

// NewCore returns a core that shows the records at the first revision of the epoch.
func NewCore(config CoreConfig) *Core {
	start := config.Epoch.First()
	if config.Follows {
		start = max(start, config.Loaded)
	}
	c := &Core{
		schema:    config.Schema,
		loaded:    config.Loaded,
		tip:       &state{rev: start, kinds: map[change.Kind]*table{}},
		last:      start,
		touched:   map[change.Kind]bool{},
		blocks:    []block{{epoch: config.Epoch, first: start, last: start}},
		histories: map[change.Kind]*history{},
	}
	if config.Records != nil {
		for rec := range config.Records {
			c.tip.table(rec.Key.Kind, c.schema).replace(nil, &rec)
			c.touched[rec.Key.Kind] = true
		}
	}
	c.view.Store((&state{kinds: map[change.Kind]*table{}}).with(c.tip, c.touched))
	c.settle()
	return c
}

// View is the newest published state.
func (c *Core) View() change.View { return c.view.Load() }

// Epoch is the epoch that the next write belongs to.
func (c *Core) Epoch() change.Epoch {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.blocks[len(c.blocks)-1].epoch
}

// Room is the number of commits that the epoch's block of revisions has left.
func (c *Core) Room() int { return int(c.last.Epoch().Last() - c.last) }

// Begin makes all further writes belong to a newer epoch. Everything applied must have been published.
func (c *Core) Begin(epoch change.Epoch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = epoch.First()
	c.blocks = append(c.blocks, block{epoch: epoch, first: c.last, last: c.last})
	if c.tip.rev == 0 { // a new store that followed: no client shall ever see revision 0
		c.tip.rev = c.last
		c.view.Store(c.view.Load().with(c.tip, nil))
	}
}

// Check says whether changes can be committed together at all, and whether they are to volatile kinds.
func (c *Core) Check(changes []change.Change) (volatile bool, err error) {
	seen := make(map[change.Key]bool, len(changes))
	for i, ch := range changes {
		switch {
		case ch.Key.Kind == "" || ch.Key.Name == "":
			return false, fmt.Errorf("commit %s: the key has no kind or no name", ch.Key)
		case seen[ch.Key]:
			return false, fmt.Errorf("commit %s: changed twice in one commit", ch.Key)
		case i > 0 && c.schema.Volatile[ch.Key.Kind] != volatile:
			return false, fmt.Errorf("commit %s: volatile and durable kinds in one commit", ch.Key)
		}
		seen[ch.Key] = true
		volatile = c.schema.Volatile[ch.Key.Kind]
	}
	return volatile, nil
}

// Apply writes changes that Check let pass onto the tip, all or none, under the next revision. A commit
// without events changed nothing and took no revision. There must be Room.
func (c *Core) Apply(changes []change.Change) (Commit, error) {
	writes := make([]written, 0, len(changes))
	for _, ch := range changes {
		old := c.tip.table(ch.Key.Kind, c.schema).get(ch.Key)
		found := change.Rev(0)
		if old != nil {
			found = old.Rev
		}
		if ch.Base != change.Any && ch.Base != found {
			return Commit{}, &ConflictError{Key: ch.Key, Base: ch.Base, Found: found}
		}
		if ch.Deletes() && old == nil || old != nil && !ch.Deletes() && bytes.Equal(old.Value, ch.Value) {
			continue
		}
		w := written{rev: c.last + 1, old: old}
		if !ch.Deletes() {
			w.new = &change.Record{Key: ch.Key, Rev: c.last + 1, Value: ch.Value}
		}
		writes = append(writes, w)
	}
	if len(writes) == 0 {
		return Commit{Rev: c.tip.rev}, nil
	}
	c.last++
	c.tip.rev = c.last
	commit := Commit{Rev: c.last, Events: make([]change.Event, 0, len(writes)), Reason: changes[0].Reason}
	for _, w := range writes {
		e := w.event()
		c.tip.kinds[e.Key.Kind].replace(w.old, w.new)
		c.touched[e.Key.Kind] = true
		commit.Events = append(commit.Events, e)
	}
	c.applied = append(c.applied, writes...)
	return commit, nil
}

// Publish shows everything applied since the last Publish or Revert.
func (c *Core) Publish() {
	if len(c.applied) == 0 && c.tip.rev == c.view.Load().rev {
		return
	}
	var wakes []func()
	c.mu.Lock()
	c.last = max(c.last, c.tip.rev)
	if newest := c.blocks[len(c.blocks)-1].epoch; newest.Less(c.tip.rev.Epoch()) { // mirrored from another master
		c.blocks = append(c.blocks, block{epoch: c.tip.rev.Epoch(), first: c.tip.rev, last: c.tip.rev})
	}
	for _, w := range c.applied {
		c.history(w.kind()).add(w)
	}
	for kind := range c.touched {
		for _, cur := range c.history(kind).cursors {
			wakes = append(wakes, cur.wake)
		}
	}
	c.view.Store(c.view.Load().with(c.tip, c.touched))
	c.blocks[len(c.blocks)-1].last = c.tip.rev
	c.mu.Unlock()
	c.settle()
	for _, wake := range wakes {
		wake()
	}
}

// Revert forgets everything applied and not published. Its revisions are not used again: part of the write
// may be on a disk or in another store.
func (c *Core) Revert() {
	c.tip = c.tip.with(c.view.Load(), c.touched)
	c.settle()
}

// settle notes that tip and view are the same.
func (c *Core) settle() {
	clear(c.applied) // let go of the records
	c.applied = c.applied[:0]
	clear(c.touched)
}

// Watch is Store.Watch.
func (c *Core) Watch(kind change.Kind, from change.Rev, wake func()) (Cursor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	h := c.history(kind)
	cur := &cursor{core: c, history: h, wake: wake, rev: from}
	if from == c.loaded && !c.schema.Volatile[kind] {
		from = max(from, c.blocks[0].first) // nothing was written in between
	}
	if from < h.reaches || !c.known(from) {
		return nil, ErrCompacted
	}
	cur.next = h.after(from)
	h.cursors = append(h.cursors, cur)
	if cur.next < h.next {
		wake()
	}
	return cur, nil
}

// Close ends all cursors once they are drained.
func (c *Core) Close() {
	c.mu.Lock()
	c.closed = true
	var wakes []func()
	for _, h := range c.histories {
		for _, cur := range h.cursors {
			wakes = append(wakes, cur.wake)
		}
	}
	c.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

func (c *Core) known(rev change.Rev) bool {
	for _, b := range c.blocks {
		if rev >= b.first && rev <= b.last {
			return true
		}
	}
	return false
}

func (c *Core) history(kind change.Kind) *history {
	h := c.histories[kind]
	if h == nil {
		limit := c.schema.History[kind]
		if limit <= 0 {
			limit = DefaultHistory
		}
		h = &history{limit: limit, reaches: c.blocks[0].first}
		c.histories[kind] = h
	}
	return h
}

// table is the table of a kind, made when the kind is new.
func (s *state) table(kind change.Kind, schema Schema) *table {
	t := s.kinds[kind]
	if t == nil {
		t = newTable(schema.Indexes[kind])
		s.kinds[kind] = t
	}
	return t
}
