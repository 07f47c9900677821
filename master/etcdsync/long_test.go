package etcdsync

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/master/change"
)

// The line of the leader is cut for minutes: longer than leases, connections and, with the compaction that its users need, etcd's
// memory last. The site writes all the time, and so does the master that leads elsewhere. When the line is back the site follows, and of each
// of its objects the newest write is in force, or lost against the other master's and kept.
func TestCutForMinutes(t *testing.T) {
	t.Parallel()
	const (
		cut     = 130 * time.Second
		objects = 150 // no more than conflicts are kept
		shared  = 60  // of them, which both masters write
	)
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a, b := newMaster(t, "a", keys, line.url()), newMaster(t, "b", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	for i := range objects {
		a.put(fmt.Sprint("o", i), "before")
	}
	b.start()
	b.wait(Follower)
	client := e.client()

	line.set(true)
	writes := 0
	write := func(m *master, i, n int) {
		t.Helper()
		c := change.Change{Key: key(fmt.Sprint("o", i)), Base: change.Any, Value: fmt.Append(nil, m.name, n), Reason: "update by " + m.name}
		if _, err := m.store.Commit(t.Context(), []change.Change{c}); err != nil {
			t.Fatalf("%s writes: %v", m.name, err)
		}
		writes++
	}
	write(a, 0, 0)
	b.wait(Leading)
	newest := map[int]int{}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n, began := 1, time.Now(); time.Since(began) < cut; n++ {
		write(a, n%objects, n)
		newest[n%objects] = n
		write(b, n%shared, n)
		if n%100 == 0 {
			answer, err := client.Get(t.Context(), "x")
			if err == nil {
				_, err = client.Compact(context.Background(), answer.Header.Revision)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		<-tick.C
	}
	if behind := a.sync.Status(); behind.State != Away || behind.Since < cut/2 {
		t.Errorf("a is %s", behind)
	}

	line.set(false)
	a.wait(Follower)
	kept := map[string]string{}
	eventually(t, "what a has written is judged", func() error {
		if left, err := a.store.Journal(); err != nil || len(left) > 0 {
			return fmt.Errorf("%d writes are not handed over, %v", len(left), err)
		}
		if left := e.dump("/skerry/test/returned/"); len(left) > 0 {
			return fmt.Errorf("%d writes are on their way", len(left))
		}
		return nil
	})
	same(t, a, b)
	conflicts, err := b.sync.Conflicts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range conflicts {
		whole, _, err := b.sync.Conflict(t.Context(), c.ID)
		if err != nil || whole.By != "update by a" {
			t.Errorf("%+v, %v", whole, err)
		}
		kept[c.Key.Name] = string(whole.Value)
	}
	lost, inForce := 0, 0
	for i, n := range newest {
		name, want := fmt.Sprint("o", i), fmt.Sprint("a", n)
		rec, _ := b.store.View().Get(key(name))
		switch {
		case string(rec.Value) == want:
			inForce++
			if i < shared {
				t.Errorf("%s is what the master wrote that was cut off, over the other's", name)
			}
		case kept[name] != want:
			lost++
			t.Errorf("%s: %s is in force, %q is kept, and %s was acknowledged", name, rec.Value, kept[name], want)
		}
	}
	t.Logf("%d writes while the line was cut for %s: of the %d objects that the site wrote, %d are in force, %d are conflicts, %d are lost",
		writes, cut, len(newest), inForce, len(kept), lost)
}
