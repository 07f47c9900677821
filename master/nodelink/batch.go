package nodelink

import "github.com/skerry-edge/skerry/master/change"

// batch is a view with writes on top of it that are not committed yet, so that several reports on one object
// become one write.
type batch struct {
	change.View
	writes map[change.Key]*change.Change
	order  []change.Key
}

func newBatch(view change.View) *batch {
	return &batch{View: view, writes: map[change.Key]*change.Change{}}
}

// Get is View.Get. An object that the batch writes has the revision that the write is based on.
func (b *batch) Get(key change.Key) (change.Record, bool) {
	w := b.writes[key]
	if w == nil {
		return b.View.Get(key)
	}
	return change.Record{Key: key, Rev: w.Base, Value: w.Value}, !w.Deletes()
}

// put adds a write that was made from what Get returned.
func (b *batch) put(c change.Change) {
	if w := b.writes[c.Key]; w != nil {
		w.Value, w.Reason = c.Value, c.Reason
		return
	}
	b.writes[c.Key] = &c
	b.order = append(b.order, c.Key)
}

// changes are the writes in the order of their first put.
func (b *batch) changes() []change.Change {
	out := make([]change.Change, 0, len(b.order))
	for _, key := range b.order {
		out = append(out, *b.writes[key])
	}
	return out
}
