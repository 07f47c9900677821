package etcdsync

import (
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/store"
)

// What a leader does that is cut off is kept in etcd: a master whose flag says nothing takes it over, also when etcd was
// emptied, and one that says otherwise changes it when it leads.
func TestCutOffIsTheClusters(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a, b := newMaster(t, "a", keys, e.urls()...), newMaster(t, "b", keys, line.url())
	a.config.CutOff = CutOffYield
	b.config.TTL = 6 * time.Second
	holds := func(m *master, want CutOff) {
		t.Helper()
		if got := m.sync.Status().CutOff; got != want {
			t.Errorf("%s: %q holds, not %q", m.name, got, want)
		}
	}
	a.start()
	a.wait(Leading)
	a.put("one", "1")
	b.start()
	b.wait(Follower)
	holds(a, CutOffYield)
	holds(b, CutOffYield)
	a.stop()
	b.wait(Leading)
	holds(b, CutOffYield)
	if _, err := e.client().Delete(t.Context(), "/skerry/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "etcd is filled again", func() error {
		if len(e.dump("/skerry/test/objects/")) == 0 || b.sync.Status().State != Leading {
			return errors.New(b.sync.Status().String())
		}
		return nil
	})
	holds(b, CutOffYield)

	line.set(true)
	b.wait(Follower) // it yields
	if _, err := b.tryPut("one", "2"); !errors.Is(err, store.ErrNotLeader) {
		t.Errorf("it writes, %v", err)
	}
	b.stop()
	for _, flag := range []CutOff{"", CutOffLead} { // the others rely on what was agreed
		b.config.CutOff = flag
		b.start()
		b.wait(Follower)
		b.stop()
	}
	line.set(false)
	b.start()
	b.wait(Leading)
	holds(b, CutOffLead)
	b.config.CutOff = ""
	a.config.CutOff = ""
	a.start()
	a.wait(Follower)
	holds(a, CutOffLead)
	b.stop()
	a.wait(Leading)
	holds(a, CutOffLead)
	// What etcd says that was restored from a backup is older than what is known here.
	now := a.store.Epoch().Term
	for _, c := range []struct {
		last term
		want CutOff
	}{{term{Number: now - 1, CutOff: CutOffYield}, CutOffLead}, {term{Number: now, CutOff: CutOffYield}, CutOffYield}, {term{Number: now + 1}, CutOffLead}} {
		if got := a.sync.wanted(c.last); got != c.want {
			t.Errorf("after %+v it wants %s", c.last, got)
		}
	}
}
