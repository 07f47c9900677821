package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

// model is the reference: a slice of records, and every event ever.
type model struct {
	rev     change.Rev
	records []change.Record
	events  []change.Event
}

func (m *model) find(k change.Key) (int, change.Record) {
	for i, rec := range m.records {
		if rec.Key == k {
			return i, rec
		}
	}
	return -1, change.Record{}
}

// commit reports whether the store must take the changes.
func (m *model) commit(changes []change.Change) bool {
	for _, c := range changes {
		if _, rec := m.find(c.Key); c.Base != change.Any && c.Base != rec.Rev {
			return false
		}
	}
	next := m.rev + 1
	for _, c := range changes {
		i, old := m.find(c.Key)
		updated := change.Record{Key: c.Key, Rev: next, Value: c.Value}
		switch {
		case c.Deletes() && i < 0, !c.Deletes() && i >= 0 && string(old.Value) == string(c.Value):
			continue
		case c.Deletes():
			m.records, updated = slices.Delete(m.records, i, i+1), change.Record{}
		case i >= 0:
			m.records[i] = updated
		default:
			m.records = append(m.records, updated)
		}
		m.rev = next
		m.events = append(m.events, change.Event{Rev: next, Key: c.Key, Old: old, New: updated})
	}
	return true
}

func (m *model) list(kind change.Kind, namespace string) []change.Record {
	var out []change.Record
	for _, rec := range m.records {
		if rec.Key.Kind == kind && (namespace == "" || namespace == rec.Key.Namespace) {
			out = append(out, rec)
		}
	}
	slices.SortFunc(out, func(a, b change.Record) int {
		return cmp.Or(cmp.Compare(a.Key.Namespace, b.Key.Namespace), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	return out
}

func testModel(t *testing.T, open Open) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := open(t, store.Config{Schema: Schema()})
			random := rand.New(rand.NewPCG(seed, 1))
			m := &model{rev: s.View().Rev()}
			cursors := map[change.Kind]store.Cursor{}
			for _, kind := range []change.Kind{pods, maps} {
				cursors[kind], _ = watch(t, s, kind, m.rev)
			}
			seenEvents := map[change.Kind][]change.Event{}
			for step := range 150 {
				changes := randomChanges(random, m)
				rev, err := s.Commit(context.Background(), changes)
				if taken := m.commit(changes); taken != (err == nil) || !taken && !errors.Is(err, store.ErrConflict) {
					t.Fatalf("step %d: %v: error %v, but the reference takes it: %v", step, changes, err, taken)
				}
				if err == nil && rev != m.rev {
					t.Fatalf("step %d: revision %s, want %s", step, rev, m.rev)
				}
				if random.IntN(4) == 0 {
					for kind, cur := range cursors {
						seenEvents[kind] = append(seenEvents[kind], drain(t, cur)...)
					}
				}
				if random.IntN(8) == 0 {
					compare(t, s.View(), m)
				}
			}
			compare(t, s.View(), m)
			for kind, cur := range cursors {
				var want []change.Event
				for _, e := range m.events {
					if e.Key.Kind == kind {
						want = append(want, e)
					}
				}
				if diff := gocmp.Diff(want, append(seenEvents[kind], drain(t, cur)...)); diff != "" {
					t.Fatalf("events of %s:\n%s", kind, diff)
				}
			}
		})
	}
}

// randomChanges returns one to four changes of different objects, most of which fit.
func randomChanges(random *rand.Rand, m *model) []change.Change {
	var changes []change.Change
	for range 1 + random.IntN(4) {
		k := change.Key{
			Kind:      []change.Kind{pods, maps}[random.IntN(2)],
			Namespace: []string{"", "a", "b"}[random.IntN(3)],
			Name:      string(rune('a' + random.IntN(6))),
		}
		if slices.ContainsFunc(changes, func(c change.Change) bool { return c.Key == k }) {
			continue
		}
		_, rec := m.find(k)
		c := change.Change{Key: k, Base: rec.Rev, Value: fmt.Appendf(nil, "n%d|%d", random.IntN(3), random.IntN(3))}
		switch random.IntN(10) {
		case 0:
			c.Base = change.Any
		case 1:
			c.Base = m.rev - change.Rev(random.IntN(3))
		case 2, 3:
			c.Value = nil
		}
		changes = append(changes, c)
	}
	return changes
}

func compare(t *testing.T, v change.View, m *model) {
	t.Helper()
	if v.Rev() != m.rev {
		t.Fatalf("the view is at %s, want %s", v.Rev(), m.rev)
	}
	for _, kind := range []change.Kind{pods, maps} {
		for _, namespace := range []string{"", "a", "b"} {
			if diff := gocmp.Diff(m.list(kind, namespace), slices.Collect(v.List(kind, namespace))); diff != "" {
				t.Fatalf("list %s in %q:\n%s", kind, namespace, diff)
			}
		}
		if got := v.Count(kind); got != len(m.list(kind, "")) {
			t.Fatalf("count %s: %d", kind, got)
		}
	}
	for _, node := range []string{"n0", "n1", "n2"} {
		var want []change.Record
		for _, rec := range m.list(pods, "") {
			if string(rec.Value[:3]) == node+"|" {
				want = append(want, rec)
			}
		}
		if diff := gocmp.Diff(want, slices.Collect(v.Indexed(pods, "node", node))); diff != "" {
			t.Fatalf("pods on %s:\n%s", node, diff)
		}
	}
}
