package store

import (
	"iter"
	"maps"

	"github.com/tidwall/btree"

	"github.com/skerry-edge/skerry/master/change"
)

// state is a change.View. The published ones never change; the tip of a Core is the one that grows.
type state struct {
	rev   change.Rev
	kinds map[change.Kind]*table
}

var _ change.View = (*state)(nil)

func (s *state) Rev() change.Rev { return s.rev }

func (s *state) Get(key change.Key) (change.Record, bool) {
	if t := s.kinds[key.Kind]; t != nil {
		if rec, ok := t.objects.Get(&change.Record{Key: key}); ok {
			return *rec, true
		}
	}
	return change.Record{}, false
}

func (s *state) List(kind change.Kind, namespace string) iter.Seq[change.Record] {
	return func(yield func(change.Record) bool) {
		t := s.kinds[kind]
		if t == nil {
			return
		}
		from := &change.Record{Key: change.Key{Namespace: namespace}}
		t.objects.Ascend(from, func(rec *change.Record) bool {
			if namespace != "" && rec.Key.Namespace != namespace {
				return false
			}
			return yield(*rec)
		})
	}
}

func (s *state) Indexed(kind change.Kind, index, value string) iter.Seq[change.Record] {
	return func(yield func(change.Record) bool) {
		t := s.kinds[kind]
		if t == nil {
			return
		}
		for _, x := range t.indexes {
			if x.Name != index {
				continue
			}
			from := indexed{value: value, record: &change.Record{}}
			x.entries.Ascend(from, func(e indexed) bool { return e.value == value && yield(*e.record) })
		}
	}
}

func (s *state) Count(kind change.Kind) int {
	if t := s.kinds[kind]; t != nil {
		return t.objects.Len()
	}
	return 0
}

// with is a copy of the state in which some tables are replaced by frozen copies of those of from.
func (s *state) with(from *state, kinds map[change.Kind]bool) *state {
	out := &state{rev: from.rev, kinds: maps.Clone(s.kinds)}
	for kind := range kinds {
		if t := from.kinds[kind]; t != nil {
			out.kinds[kind] = t.copy()
		} else {
			delete(out.kinds, kind)
		}
	}
	return out
}

// table holds the objects of one kind and its indexes, in copy-on-write trees that share the records.
type table struct {
	objects *btree.BTreeG[*change.Record]
	indexes []indexTree
}

type indexTree struct {
	Index
	entries *btree.BTreeG[indexed]
}

type indexed struct {
	value  string
	record *change.Record
}

// The trees need no locks: one goroutine writes the tip, everybody else reads copies.
var treeOptions = btree.Options{NoLocks: true}

func newTable(indexes []Index) *table {
	t := &table{objects: btree.NewBTreeGOptions(recordLess, treeOptions)}
	for _, x := range indexes {
		t.indexes = append(t.indexes, indexTree{Index: x, entries: btree.NewBTreeGOptions(indexedLess, treeOptions)})
	}
	return t
}

// copy is a table of the same content; writing to either leaves the other alone. It takes constant time.
func (t *table) copy() *table {
	out := &table{objects: t.objects.Copy()}
	for _, x := range t.indexes {
		out.indexes = append(out.indexes, indexTree{Index: x.Index, entries: x.entries.Copy()})
	}
	return out
}

func (t *table) get(key change.Key) *change.Record {
	rec, _ := t.objects.Get(&change.Record{Key: key})
	return rec
}

// replace puts updated in the place of old; nil stands for no object.
func (t *table) replace(old, updated *change.Record) {
	if updated == nil {
		t.objects.Delete(old)
	} else {
		t.objects.Set(updated)
	}
	for _, x := range t.indexes {
		if old != nil {
			if value := x.Of(old.Value); value != "" {
				x.entries.Delete(indexed{value, old})
			}
		}
		if updated != nil {
			if value := x.Of(updated.Value); value != "" {
				x.entries.Set(indexed{value, updated})
			}
		}
	}
}

func recordLess(a, b *change.Record) bool {
	if a.Key.Namespace != b.Key.Namespace {
		return a.Key.Namespace < b.Key.Namespace
	}
	return a.Key.Name < b.Key.Name
}

func indexedLess(a, b indexed) bool {
	if a.value != b.value {
		return a.value < b.value
	}
	return recordLess(a.record, b.record)
}
