package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

func testWatch(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	cur, bell := watch(t, s, pods, s.View().Rev())
	if got := drain(t, cur); got != nil || bell.rung() {
		t.Fatalf("events before any write: %v", got)
	}
	k := key(pods, "a")
	must(t, s, create(key(maps, "a"), "0"))
	if bell.rung() {
		t.Fatal("a write to another kind woke the cursor")
	}
	r1 := must(t, s, create(k, "1"))
	if !bell.rung() {
		t.Fatal("a write did not wake the cursor")
	}
	r2 := must(t, s, set(k, "2"))
	r3 := must(t, s, remove(k))
	rec := func(rev change.Rev, value string) change.Record {
		return change.Record{Key: k, Rev: rev, Value: []byte(value)}
	}
	want := []change.Event{
		{Rev: r1, Key: k, New: rec(r1, "1")},
		{Rev: r2, Key: k, Old: rec(r1, "1"), New: rec(r2, "2")},
		{Rev: r3, Key: k, Old: rec(r2, "2")},
	}
	if diff := cmp.Diff(want, drain(t, cur)); diff != "" {
		t.Fatal(diff)
	}
	cur.Close()
	bell.rung()
	must(t, s, create(k, "3"))
	if bell.rung() {
		t.Fatal("a closed cursor was woken")
	}
}

func testWatchFrom(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	revs := []change.Rev{s.View().Rev()}
	for i := range 5 {
		kind := []change.Kind{pods, maps}[i%2]
		revs = append(revs, must(t, s, set(key(kind, "a"), fmt.Sprint(i))))
	}
	for i, from := range revs {
		cur, bell := watch(t, s, pods, from)
		var want, got []change.Rev
		for j := i + 1; j < len(revs); j++ {
			if j%2 == 1 {
				want = append(want, revs[j])
			}
		}
		if bell.rung() != (want != nil) {
			t.Errorf("from write %d: a cursor with %d events was woken: %v", i, len(want), want == nil)
		}
		for _, e := range drain(t, cur) {
			got = append(got, e.Rev)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("from write %d:\n%s", i, diff)
		}
	}
	// A kind that never had a write has a history all the same.
	cur, _ := watch(t, s, short, revs[2])
	must(t, s, create(key(short, "a"), "1"))
	if got := drain(t, cur); len(got) != 1 {
		t.Errorf("got %v, want the one write", got)
	}
}

func testCursorRev(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	start := s.View().Rev()
	cur, _ := watch(t, s, pods, start)
	both := must(t, s, create(key(pods, "a"), "1"), create(key(pods, "b"), "1"))
	other := must(t, s, create(key(maps, "a"), "1"))
	for i, want := range []change.Rev{start, both, other} {
		if _, ok, err := cur.Next(); err != nil || ok != (i < 2) {
			t.Fatalf("next %d: %v, %v", i, ok, err)
		}
		if got := cur.Rev(); got != want {
			t.Fatalf("after %d events the cursor is at %s, want %s", i+1, got, want)
		}
	}
}

func testCompacted(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	start := s.View().Rev()
	slow, bell := watch(t, s, short, start)
	var revs []change.Rev
	for i := range 6 {
		revs = append(revs, must(t, s, set(key(short, "a"), fmt.Sprint(i))))
	}
	if _, _, err := slow.Next(); !errors.Is(err, store.ErrCompacted) || !bell.rung() {
		t.Errorf("a cursor that fell behind: %v", err)
	}
	for from, ok := range map[change.Rev]bool{
		start:   false,
		revs[0]: false,
		revs[1]: true, // the four events after it are kept
		revs[5]: true,
		// Revisions that were never given out here.
		0:                                      false,
		revs[5] + 1:                            false,
		start - 1:                              false,
		s.Epoch().Next().First():               false,
		change.Epoch{Term: 9}.First():          false,
		change.Epoch{Term: 1, Start: 7}.Last(): false,
	} {
		cur, err := s.Watch(short, from, func() {})
		if ok && err != nil || !ok && !errors.Is(err, store.ErrCompacted) {
			t.Errorf("watch from %s (the writes are %v): %v", from, revs, err)
		}
		if err == nil {
			cur.Close()
		}
	}
	// The other kinds' histories are their own.
	cur, _ := watch(t, s, pods, start)
	must(t, s, create(key(pods, "a"), "1"))
	if got := drain(t, cur); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	// A commit with more events than are kept compacts those that watch it, and nobody else.
	var many []change.Change
	for i := range 9 {
		many = append(many, create(key(short, fmt.Sprint("many", i)), "1"))
	}
	cur, _ = watch(t, s, short, s.View().Rev())
	must(t, s, many...)
	if _, _, err := cur.Next(); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("after a commit bigger than the history: %v", err)
	}
	watch(t, s, short, s.View().Rev())
}

func testVolatile(t *testing.T, open Open) {
	told := &replicator{}
	s := open(t, store.Config{Schema: Schema(), Replicator: told})
	durable, _ := watch(t, s, pods, s.View().Rev())
	r1 := must(t, s, create(key(pods, "a"), "1"))
	for i := range 6 {
		if rev := must(t, s, set(key(seen, "n1"), fmt.Sprint(i))); rev != r1+change.Rev(i)+1 {
			t.Fatalf("volatile write %d has revision %s after %s", i, rev, r1)
		}
	}
	if rec, ok := s.View().Get(key(seen, "n1")); !ok || string(rec.Value) != "5" {
		t.Fatalf("got %v", rec)
	}
	if _, err := s.Watch(seen, r1, func() {}); !errors.Is(err, store.ErrCompacted) {
		t.Fatalf("the volatile history reaches too far back: %v", err)
	}
	watch(t, s, seen, r1+2)
	if got := drain(t, durable); len(got) != 1 || durable.Rev() != r1+6 {
		t.Fatalf("the durable watch is at %s and got %v", durable.Rev(), got)
	}
	if len(told.batches) != 1 {
		t.Fatalf("replicated %v, want only the durable write", told.batches)
	}
}

func testClose(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	cur, bell := watch(t, s, pods, s.View().Rev())
	must(t, s, create(key(pods, "a"), "1"))
	bell.rung()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !bell.rung() {
		t.Fatal("closing did not wake the cursor")
	}
	if _, ok, err := cur.Next(); !ok || err != nil {
		t.Fatalf("what was written before is lost: %v", err)
	}
	if _, _, err := cur.Next(); !errors.Is(err, store.ErrClosed) {
		t.Fatalf("the end of a cursor: %v", err)
	}
	refused(t, s, store.ErrClosed, create(key(pods, "b"), "1"))
	if _, err := s.Watch(pods, s.View().Rev(), func() {}); !errors.Is(err, store.ErrClosed) {
		t.Fatalf("watch: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("closing again: %v", err)
	}
}

func testAdvance(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	cur, _ := watch(t, s, pods, s.View().Rev())
	first := s.Epoch()
	r1 := must(t, s, create(key(pods, "a"), "1"))
	advance := func(beyond, want change.Epoch) {
		t.Helper()
		if err := s.Advance(beyond); err != nil {
			t.Fatal(err)
		}
		if s.Epoch() != want {
			t.Fatalf("the epoch is %s after advancing beyond %s, want %s", s.Epoch(), beyond, want)
		}
	}
	advance(change.Epoch{}, first) // it is already
	advance(first, first.Next())
	advance(change.Epoch{Term: 3, Start: change.MaxStart}, change.Epoch{Term: 4})
	r2 := must(t, s, set(key(pods, "a"), "2"))
	if want := (change.Epoch{Term: 4}).First() + 1; r2 != want {
		t.Fatalf("the first write of the epoch has revision %s, want %s", r2, want)
	}
	if got := drain(t, cur); len(got) != 2 || got[0].Rev != r1 || got[1].Rev != r2 {
		t.Fatalf("got %v", got)
	}
	// The history goes back across the epoch; what lies between the blocks does not exist.
	again, _ := watch(t, s, pods, r1)
	if got := drain(t, again); len(got) != 1 {
		t.Fatalf("got %v", got)
	}
	if _, err := s.Watch(pods, r1+1, func() {}); !errors.Is(err, store.ErrCompacted) {
		t.Fatalf("watch from between two blocks: %v", err)
	}
}
