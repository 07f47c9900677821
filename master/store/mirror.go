package store

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/skerry-edge/skerry/master/change"
)

// Mirror is a part of another master's state, to be shown here as it is there. What is not newer than the state here
// replaces one that has ceased to count: then every watch ends with ErrCompacted.
type Mirror struct {
	// Rev is the revision that the other master had after the writes. Watches see all of them at once, at Rev.
	Rev change.Rev
	// Puts are objects with the revisions that the other master gave them.
	Puts []change.Record
	// Deletes are objects that are no more.
	Deletes []change.Key
}

// ApplyMirror writes another master's state onto the tip. What is here already is left out. Publish shows it, or
// Revert forgets it; the other master's revisions are not this one's to use up.
func (c *Core) ApplyMirror(m Mirror) Commit {
	m.Puts = slices.Clone(m.Puts)
	slices.SortFunc(m.Puts, func(a, b change.Record) int { return cmp.Compare(a.Rev, b.Rev) })
	var writes []written
	for _, rec := range m.Puts {
		old := c.tip.table(rec.Key.Kind, c.schema).get(rec.Key)
		if old != nil && old.Rev == rec.Rev && bytes.Equal(old.Value, rec.Value) {
			continue
		}
		writes = append(writes, written{rev: m.Rev, old: old, new: &rec})
	}
	for _, key := range m.Deletes {
		if old := c.tip.table(key.Kind, c.schema).get(key); old != nil {
			writes = append(writes, written{rev: m.Rev, old: old})
		}
	}
	commit := Commit{Rev: m.Rev}
	for _, w := range writes {
		e := w.event()
		c.tip.kinds[e.Key.Kind].replace(w.old, w.new)
		c.touched[e.Key.Kind] = true
		commit.Events = append(commit.Events, e)
	}
	c.applied = append(c.applied, writes...)
	c.tip.rev = m.Rev
	return commit
}

// Turn shows what ApplyMirror has written as a new beginning: the revisions until now count no more, whether they
// were older or newer. Every watch ends with ErrCompacted.
func (c *Core) Turn() {
	var wakes []func()
	c.mu.Lock()
	c.last, c.loaded = c.tip.rev, c.tip.rev
	c.blocks = []block{{epoch: c.last.Epoch(), first: c.last, last: c.last}}
	for _, h := range c.histories {
		h.turn(c.last)
		for _, cur := range h.cursors {
			wakes = append(wakes, cur.wake)
		}
	}
	c.view.Store(c.view.Load().with(c.tip, c.touched))
	c.mu.Unlock()
	c.settle()
	for _, wake := range wakes {
		wake()
	}
}

// turn forgets all writes, and leaves every cursor behind.
func (h *history) turn(at change.Rev) {
	h.ring = nil
	h.next += uint64(h.limit) - h.next%uint64(h.limit) // the ring begins at its first place again
	h.reaches = at
}
