package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

func testConflicts(t *testing.T, open Open) {
	tests := []struct {
		name     string
		exists   bool
		base     func(rev change.Rev) change.Rev
		value    []byte
		conflict bool
	}{
		{"create", false, fixed(0), []byte("new"), false},
		{"create what exists", true, fixed(0), []byte("new"), true},
		{"update", true, same, []byte("new"), false},
		{"update from an older revision", true, older, []byte("new"), true},
		{"update what is gone", false, fixed(7), []byte("new"), true},
		{"update whatever is there", true, fixed(change.Any), []byte("new"), false},
		{"create or update", false, fixed(change.Any), []byte("new"), false},
		{"write the same value from an older revision", true, older, []byte("old"), true},
		{"delete", true, same, nil, false},
		{"delete from an older revision", true, older, nil, true},
		{"delete what is gone", false, fixed(7), nil, true},
		{"delete whatever is there", false, fixed(change.Any), nil, false},
		{"write an empty value", true, same, []byte{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, store.Config{Schema: Schema()})
			k := key(pods, "a")
			var rev change.Rev
			if test.exists {
				must(t, s, create(k, "older"))
				rev = must(t, s, set(k, "old"))
			}
			c := change.Change{Key: k, Base: test.base(rev), Value: test.value}
			if test.conflict {
				refused(t, s, store.ErrConflict, c)
				_, err := s.Commit(context.Background(), []change.Change{c})
				var conflict *store.ConflictError
				if !errors.As(err, &conflict) {
					t.Fatalf("%v is no ConflictError", err)
				}
				if want := (store.ConflictError{Key: k, Base: c.Base, Found: rev}); *conflict != want {
					t.Fatalf("got %+v, want %+v", *conflict, want)
				}
				return
			}
			at := must(t, s, c)
			got, ok := s.View().Get(k)
			if ok != (test.value != nil) {
				t.Fatalf("exists: %v", ok)
			}
			if want := (change.Record{Key: k, Rev: at, Value: test.value}); ok && !cmp.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			if ok != got.Exists() {
				t.Fatalf("%v exists: %v", got, got.Exists())
			}
		})
	}
}

func fixed(rev change.Rev) func(change.Rev) change.Rev {
	return func(change.Rev) change.Rev { return rev }
}

func same(rev change.Rev) change.Rev  { return rev }
func older(rev change.Rev) change.Rev { return rev - 1 }

func testAtomic(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	must(t, s, create(key(pods, "b"), "1"))
	refused(t, s, store.ErrConflict, create(key(pods, "a"), "2"), create(key(pods, "b"), "2"), create(key(maps, "c"), "2"))

	cur, _ := watch(t, s, pods, s.View().Rev())
	rev := must(t, s, create(key(pods, "a"), "3"), remove(key(pods, "b")), create(key(maps, "c"), "3"))
	want := []change.Record{
		{Key: key(pods, "a"), Rev: rev, Value: []byte("3")},
		{Key: key(maps, "c"), Rev: rev, Value: []byte("3")},
	}
	if diff := cmp.Diff(want, dump(s.View())); diff != "" {
		t.Fatal(diff)
	}
	for _, e := range drain(t, cur) {
		if e.Rev != rev {
			t.Fatalf("%v has another revision than its commit, %s", e, rev)
		}
	}
}

func testNoop(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	a, b := key(pods, "a"), key(pods, "b")
	first := must(t, s, create(a, "1"))
	cur, bell := watch(t, s, pods, first)
	for _, changes := range [][]change.Change{
		nil,
		{set(a, "1")},
		{{Key: a, Base: first, Value: []byte("1")}},
		{remove(b)},
		{set(a, "1"), remove(b)},
	} {
		if rev := must(t, s, changes...); rev != first {
			t.Fatalf("%v: got revision %s, want the present one, %s", changes, rev, first)
		}
	}
	if events := drain(t, cur); events != nil || bell.rung() {
		t.Fatalf("events of nothing: %v", events)
	}
	// In a commit that does change something, what stays the same is left out and keeps its revision.
	second := must(t, s, set(a, "1"), create(b, "2"))
	if events := drain(t, cur); len(events) != 1 || events[0].Key != b {
		t.Fatalf("got %v, want one event of %s", events, b)
	}
	if rec, _ := s.View().Get(a); rec.Rev != first || second == first {
		t.Fatalf("revision of the unchanged object is %s, want %s", rec.Rev, first)
	}
}

func testMalformed(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	for name, changes := range map[string][]change.Change{
		"no name":              {set(change.Key{Kind: pods}, "1")},
		"no kind":              {set(change.Key{Name: "a"}, "1")},
		"the same key twice":   {set(key(pods, "a"), "1"), set(key(pods, "a"), "2")},
		"volatile and durable": {set(key(pods, "a"), "1"), set(key(seen, "a"), "1")},
		"durable and volatile": {set(key(seen, "a"), "1"), set(key(pods, "a"), "1")},
	} {
		if rev, err := s.Commit(context.Background(), changes); err == nil {
			t.Errorf("%s: committed as %s", name, rev)
		}
	}
	if got := dump(s.View()); got != nil {
		t.Fatalf("something was written: %v", got)
	}
}

func testRevisions(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	last := s.View().Rev()
	if last == 0 || last != s.Epoch().First() {
		t.Fatalf("a new store is at revision %s, want %s, the first of epoch %s", last, s.Epoch().First(), s.Epoch())
	}
	for i, c := range []change.Change{
		create(key(pods, "a"), "1"), set(key(pods, "a"), "2"), create(key(seen, "a"), "1"), remove(key(pods, "a")),
	} {
		rev := must(t, s, c)
		if rev != last+1 || s.View().Rev() != rev {
			t.Fatalf("commit %d has revision %s and the view %s, want %s", i, rev, s.View().Rev(), last+1)
		}
		last = rev
	}
}

func testContext(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Commit(ctx, []change.Change{create(key(pods, "a"), "1")}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	must(t, s, create(key(pods, "a"), "2"))
}

// Writers increase one counter each optimistically, and a common one; a watch sees every step.
func testConcurrent(t *testing.T, open Open) {
	s := open(t, store.Config{Schema: Schema()})
	common := key(maps, "common")
	start := s.View().Rev()
	const writers, each = 8, 20
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range each {
				if errs[w] = increase(s, common, key(pods, string(rune('a'+w)))); errs[w] != nil {
					return
				}
			}
		}()
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if rec, _ := s.View().Get(common); len(rec.Value) != writers*each {
		t.Fatalf("the common counter is %d, want %d", len(rec.Value), writers*each)
	}
	for rec := range s.View().List(pods, "") {
		if len(rec.Value) != each {
			t.Fatalf("the counter %s is %d, want %d", rec.Key, len(rec.Value), each)
		}
	}
	cur, _ := watch(t, s, maps, start)
	var revs []change.Rev
	for i, e := range drain(t, cur) {
		if len(e.New.Value) != i+1 {
			t.Fatalf("event %d shows the counter at %d", i, len(e.New.Value))
		}
		revs = append(revs, e.Rev)
	}
	if len(revs) != writers*each || !slices.IsSorted(revs) || len(slices.Compact(revs)) != writers*each {
		t.Fatalf("revisions %v do not grow", revs)
	}
}

// increase adds a byte to both objects in one commit, however often it has to try.
func increase(s store.Store, keys ...change.Key) error {
	for {
		v := s.View()
		var changes []change.Change
		for _, k := range keys {
			rec, _ := v.Get(k)
			changes = append(changes, change.Change{Key: k, Base: rec.Rev, Value: append(slices.Clone(rec.Value), 'x')})
		}
		if _, err := s.Commit(context.Background(), changes); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
