package store

import (
	"testing"

	"github.com/skerry-edge/skerry/master/change"
)

// A block of revisions that is used up is followed by the next epoch's, not by somebody else's.
func TestMemoryBeginsAnEpochWhenTheBlockIsFull(t *testing.T) {
	epoch := change.Epoch{Term: 2, Start: change.MaxStart}
	m := NewMemory(Config{Epoch: epoch})
	m.core.last = epoch.Last() - 1 // a million writes later
	k := change.Key{Kind: "pods", Name: "a"}
	last, err := m.Commit(t.Context(), []change.Change{{Key: k, Value: []byte("1")}})
	if err != nil || last != epoch.Last() {
		t.Fatalf("got revision %s, %v", last, err)
	}
	rev, err := m.Commit(t.Context(), []change.Change{{Key: k, Base: last, Value: []byte("2")}})
	if want := (change.Epoch{Term: 3}); err != nil || rev != want.First()+1 || m.Epoch() != want {
		t.Fatalf("got revision %s in epoch %s, %v", rev, m.Epoch(), err)
	}
	cur, err := m.Watch("pods", last, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if e, ok, err := cur.Next(); !ok || err != nil || e.Rev != rev {
		t.Fatalf("got %v, %v, %v", e, ok, err)
	}
}

// A watch may go on over a restart when nothing durable was missed, and only then.
func TestWatchFromAnEarlierRun(t *testing.T) {
	c := NewCore(CoreConfig{
		Schema: Schema{Volatile: map[change.Kind]bool{"seen": true}},
		Epoch:  change.Epoch{Start: 5},
		Loaded: change.Epoch{Start: 4}.First() + 7,
	})
	for _, test := range []struct {
		kind change.Kind
		from change.Rev
		ok   bool
	}{
		{"pods", change.Epoch{Start: 4}.First() + 7, true},
		{"pods", change.Epoch{Start: 4}.First() + 6, false},
		{"pods", change.Epoch{Start: 4}.First() + 8, false},
		{"seen", change.Epoch{Start: 4}.First() + 7, false}, // volatile objects did not outlive the run
		{"seen", change.Epoch{Start: 5}.First(), true},
	} {
		if _, err := c.Watch(test.kind, test.from, func() {}); (err == nil) != test.ok {
			t.Errorf("watch %s from %s: %v", test.kind, test.from, err)
		}
	}
}
