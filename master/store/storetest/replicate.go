package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

// replicator records what it is told and answers as it is set.
type replicator struct {
	mu      sync.Mutex
	answer  error
	during  func()
	epochs  []change.Epoch
	batches []store.Batch
}

func (r *replicator) Replicate(_ context.Context, epoch change.Epoch, batch store.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epochs = append(r.epochs, epoch)
	r.batches = append(r.batches, batch)
	if r.during != nil {
		r.during()
	}
	return r.answer
}

func testReplicator(t *testing.T, open Open) {
	told := &replicator{}
	s := open(t, store.Config{Schema: Schema(), Replicator: told})
	a, b := key(pods, "a"), key(pods, "b")

	told.during = func() {
		if s.View().Count(pods) != 0 {
			t.Error("a write is seen before it is replicated")
		}
	}
	r1 := must(t, s, create(a, "1"))
	told.during = nil
	want := store.Batch{Commits: []store.Commit{{Rev: r1, Events: []change.Event{
		{Rev: r1, Key: a, New: change.Record{Key: a, Rev: r1, Value: []byte("1")}},
	}}}}
	if diff := cmp.Diff([]store.Batch{want}, told.batches); diff != "" || told.epochs[0] != s.Epoch() {
		t.Fatalf("replicated in epoch %s:\n%s", told.epochs[0], diff)
	}

	// Nothing is replicated that writes nothing.
	must(t, s, set(a, "1"))
	refused(t, s, store.ErrConflict, create(a, "2"))
	if len(told.batches) != 1 {
		t.Fatalf("replicated %v", told.batches)
	}

	// A refusal means that the write never happened, and that its revision is used up.
	told.answer = store.ErrNotLeader
	cur, bell := watch(t, s, pods, r1)
	refused(t, s, store.ErrNotLeader, set(a, "2"), create(b, "2"))
	if got := drain(t, cur); got != nil || bell.rung() {
		t.Fatalf("events of a refused write: %v", got)
	}
	told.answer = errors.New("something else")
	refused(t, s, told.answer, remove(a))
	if rev := must(t, s, create(key(seen, "n1"), "1")); rev <= r1+2 {
		t.Fatalf("revision %s was used again", rev)
	}

	// Away is no refusal.
	told.answer = store.ErrAway
	r2 := must(t, s, create(b, "3"))
	if rec, ok := s.View().Get(b); !ok || rec.Rev != r2 {
		t.Fatalf("got %v", rec)
	}
	if got := drain(t, cur); len(got) != 1 || got[0].Rev != r2 {
		t.Fatalf("got %v", got)
	}
}
