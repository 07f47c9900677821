package store

import (
	"sort"

	"github.com/skerry-edge/skerry/master/change"
)

// history is the bounded past of one kind: a ring of the newest writes. The Core's lock guards it.
type history struct {
	limit int
	ring  []written // the write with number n, counted from 0, lies at n % limit
	next  uint64    // number of the next write
	// reaches is the revision that the history goes back to: that of the newest write that was dropped, or
	// the one that the store started at.
	reaches change.Rev
	cursors []*cursor // in the order in which they were opened
}

// written is an Event in little: the records are shared with the views.
type written struct {
	rev      change.Rev
	old, new *change.Record
}

func (h *history) add(w written) {
	if len(h.ring) < h.limit {
		h.ring = append(h.ring, w)
	} else {
		slot := &h.ring[h.next%uint64(h.limit)]
		h.reaches = slot.rev
		*slot = w
	}
	h.next++
}

// first is the number of the oldest write that is kept.
func (h *history) first() uint64 { return h.next - uint64(len(h.ring)) }

func (h *history) at(number uint64) written { return h.ring[number%uint64(h.limit)] }

// after is the number of the first write that is newer than rev.
func (h *history) after(rev change.Rev) uint64 {
	first := h.first()
	return first + uint64(sort.Search(len(h.ring), func(i int) bool { return h.at(first+uint64(i)).rev > rev }))
}

func (w written) kind() change.Kind {
	if w.new != nil {
		return w.new.Key.Kind
	}
	return w.old.Key.Kind
}

func (w written) event() change.Event {
	e := change.Event{Rev: w.rev}
	if w.old != nil {
		e.Old, e.Key = *w.old, w.old.Key
	}
	if w.new != nil {
		e.New, e.Key = *w.new, w.new.Key
	}
	return e
}

// cursor is a Cursor. Its own fields belong to the goroutine that uses it.
type cursor struct {
	core    *Core
	history *history
	wake    func()
	next    uint64 // number of the write that Next returns
	rev     change.Rev
}

func (c *cursor) Next() (change.Event, bool, error) {
	c.core.mu.RLock()
	defer c.core.mu.RUnlock()
	switch {
	case c.next < c.history.first():
		return change.Event{}, false, ErrCompacted
	case c.next < c.history.next:
		w := c.history.at(c.next)
		c.next++
		// A commit may hold several writes to the kind; only after the last of them all of its revision
		// has been seen.
		if c.next == c.history.next || c.history.at(c.next).rev > w.rev {
			c.rev = w.rev
		}
		return w.event(), true, nil
	case c.core.closed:
		return change.Event{}, false, ErrClosed
	}
	c.rev = c.core.View().Rev()
	return change.Event{}, false, nil
}

func (c *cursor) Rev() change.Rev { return c.rev }

func (c *cursor) Close() {
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	for i, other := range c.history.cursors {
		if other == c {
			c.history.cursors = append(c.history.cursors[:i:i], c.history.cursors[i+1:]...)
			return
		}
	}
}
