package bolt

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/storetest"
)

func record(name string, rev change.Rev, value string) change.Record {
	return change.Record{Key: key(name), Rev: rev, Value: []byte(value)}
}

// A store that follows shows another master's writes with their revisions, also after its restart, begins no epoch of
// its own, and refuses all else, until it leads.
func TestFollow(t *testing.T) {
	epoch := change.Epoch{Term: 3}
	s, _ := mustOpen(t, Config{Dir: t.TempDir(), Schema: storetest.Schema(), Follows: true})
	mirror := func(m store.Mirror) {
		t.Helper()
		if err := s.Mirror(m); err != nil {
			t.Fatal(err)
		}
	}
	mirror(store.Mirror{Rev: epoch.First() + 5, Puts: []change.Record{record("a", epoch.First()+2, "n1|1"), record("b", epoch.First()+5, "n1|2")}})
	cur, err := s.Watch("pods", s.View().Rev(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	mirror(store.Mirror{Rev: epoch.First() + 9, Puts: []change.Record{record("b", epoch.First()+8, "n2|3")}, Deletes: []change.Key{key("a"), key("never")}})
	var got []string
	for e, ok, err := cur.Next(); ok; e, ok, err = cur.Next() {
		if err != nil || e.Rev != epoch.First()+9 {
			t.Fatalf("%+v, %v", e, err)
		}
		got = append(got, e.Key.Name+"="+string(e.New.Value))
	}
	if diff := cmp.Diff([]string{"b=n2|3", "a="}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, kind := range []change.Kind{"pods", "seen.skerry.dev"} {
		if _, err := s.Commit(t.Context(), []change.Change{{Key: change.Key{Kind: kind, Name: "x"}, Value: []byte("1")}}); !errors.Is(err, store.ErrNotLeader) {
			t.Errorf("a write of its own to %s: %v", kind, err)
		}
	}
	before := list(s)
	s = reopen(t, s)
	if diff := cmp.Diff(before, list(s)); diff != "" || s.View().Rev() != epoch.First()+9 || s.Epoch() != epoch {
		t.Errorf("after a restart at revision %s in epoch %s:\n%s", s.View().Rev(), s.Epoch(), diff)
	}
	if err := errors.Join(s.Advance(epoch), s.Lead(true)); err != nil {
		t.Fatal(err)
	}
	if rev, want := write(t, s, key("c"), "n1|1"), (change.Epoch{Term: 3, Start: 1}).First()+1; rev != want {
		t.Errorf("its first write has revision %s, want %s", rev, want)
	}
}

// A state that is not newer than what is shown replaces it as a new beginning: every watch lists again, and later ones
// begin from there.
func TestMirrorAnOlderState(t *testing.T) {
	epoch := change.Epoch{Term: 3}
	s, _ := mustOpen(t, Config{Dir: t.TempDir(), Schema: storetest.Schema(), Follows: true})
	if err := s.Mirror(store.Mirror{Rev: epoch.First() + 9, Puts: []change.Record{record("a", epoch.First()+9, "n1|1")}}); err != nil {
		t.Fatal(err)
	}
	woken := false
	cur, err := s.Watch("pods", epoch.First()+9, func() { woken = true })
	if err != nil {
		t.Fatal(err)
	}
	old := epoch.First() + 4
	if err := s.Mirror(store.Mirror{Rev: old, Puts: []change.Record{record("b", old, "n1|1")}, Deletes: []change.Key{key("a")}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := cur.Next(); !errors.Is(err, store.ErrCompacted) || !woken {
		t.Errorf("a watch of before: %v, woken: %t", err, woken)
	}
	if _, err := s.Watch("pods", epoch.First()+9, func() {}); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("a watch from a revision that counts no more: %v", err)
	}
	again, err := s.Watch("pods", old, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Mirror(store.Mirror{Rev: old + 1, Puts: []change.Record{record("b", old+1, "n1|2")}}); err != nil {
		t.Fatal(err)
	}
	if e, ok, err := again.Next(); !ok || err != nil || e.Rev != old+1 {
		t.Errorf("got %+v, %t, %v", e, ok, err)
	}
}

// answers is a Replicator that answers as it is set.
type answers struct{ err error }

func (a *answers) Replicate(context.Context, change.Epoch, store.Batch) error { return a.err }

// The journal has one entry an object: what the other store has of it, and what it lacks. It survives a restart and a
// new key, and loses what the other store has got.
func TestJournal(t *testing.T) {
	other := &answers{}
	s, _ := mustOpen(t, Config{Dir: t.TempDir(), Schema: storetest.Schema(), Replicator: other,
		UserWrite: func(e change.Event) bool { return string(e.New.Value) != "status" }})
	a := write(t, s, key("a"), "1")
	write(t, s, key("b"), "1")
	other.err = store.ErrUnsure
	write(t, s, key("a"), "2")
	other.err = store.ErrAway
	write(t, s, key("c"), "status")
	newest := write(t, s, key("a"), "status")
	gone, err := s.Commit(t.Context(), []change.Change{{Key: key("b"), Base: change.Any}})
	if err != nil {
		t.Fatal(err)
	}
	want := []store.Entry{
		{Key: key("c"), Newest: newest - 1},
		{Key: key("a"), Replaced: a, Newest: newest, User: true, Unsure: true},
		{Key: key("b"), Replaced: a + 1, Newest: gone, User: true},
	}
	check := func(want []store.Entry) {
		t.Helper()
		got, err := s.Journal()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("the journal (-want +got), %v:\n%s", err, diff)
		}
	}
	check(want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Rotate(s.config); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	check(want)

	// Pushed, while one of them is written again.
	again := write(t, s, key("c"), "2")
	if err := errors.Join(s.Doubt(want[:1]), s.Settle(want)); err != nil {
		t.Fatal(err)
	}
	check([]store.Entry{{Key: key("c"), Replaced: newest - 1, Newest: again, User: true, Unsure: true}})
	if err := s.Mirror(store.Mirror{Rev: again + 1, Deletes: []change.Key{key("c")}}); err != nil {
		t.Fatal(err)
	}
	check(nil)
}
