package etcdsync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/etcdsync/merge"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/keyring"
)

const (
	maps    change.Kind = "configmaps"
	secrets change.Kind = "secrets"
)

// testTTL is the shortest that etcd gives.
const testTTL = 2 * time.Second

// master is a store with its Sync, as the server puts them together.
type master struct {
	t      *testing.T
	name   string
	dir    string
	config Config
	wrap   func(Store) Store // what the Sync gets instead of the store; nil: the store
	slow   func()            // called, if set, between etcd and the disk
	store  *bolt.Store
	sync   *Sync
	cancel context.CancelFunc
	ended  chan error
}

// testKeys are the keys of the Secrets, which all masters of a test share.
func testKeys(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), keyring.FileName)
	ring, err := keyring.New(path)
	if err == nil {
		err = ring.Keep()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func newMaster(t *testing.T, name, keys string, urls ...string) *master {
	t.Helper()
	m := &master{t: t, name: name, dir: filepath.Join(t.TempDir(), name), config: Config{
		Server: Server{Endpoints: urls}, Cluster: "test", TTL: testTTL,
		Clock: daemon.Clock, Logger: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel).With().Str("master", name).Logger(),
	}}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(keys)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.dir, keyring.FileName), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.stop)
	return m
}

// slowed is a Sync whose store has a slow disk.
type slowed struct {
	*Sync
	slow func()
}

func (s slowed) Replicate(ctx context.Context, epoch change.Epoch, batch store.Batch) error {
	err := s.Sync.Replicate(ctx, epoch, batch)
	if s.slow != nil {
		s.slow()
	}
	return err
}

// start opens the store and runs.
func (m *master) start() {
	m.t.Helper()
	m.sync = New(m.config)
	var err error
	m.store, _, err = bolt.Open(bolt.Config{
		Dir: m.dir, Schema: resource.Schema(), Sealed: resource.Sealed(), Replicator: slowed{m.sync, m.slow}, Follows: true,
		UserWrite: merge.UserWrite, Clock: daemon.Clock, Logger: zerolog.Nop(),
	})
	if err == nil {
		local := Store(m.store)
		if m.wrap != nil {
			local = m.wrap(local)
		}
		err = m.sync.Attach(local, "id", Master{Name: m.name, API: "https://" + m.name + ":6443"})
	}
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel, m.ended = cancel, make(chan error, 1)
	go func() { m.ended <- m.sync.Run(ctx) }()
}

// stop ends as SIGTERM does: the election is left to others.
func (m *master) stop() {
	if m.cancel == nil {
		return
	}
	m.cancel()
	err := <-m.ended
	m.cancel = nil
	if err = errors.Join(err, m.store.Close()); err != nil {
		m.t.Errorf("%s: %v", m.name, err)
	}
}

func (m *master) wait(state State) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("%s is %s", m.name, state), func() error {
		if now := m.sync.Status(); now.State != state {
			return fmt.Errorf("it is %s", now)
		}
		if state != Leading && state != Away {
			return nil
		}
		_, err := m.tryPut("nobody has this", "") // changes nothing: whether the store takes writes already
		return err
	})
}

func key(name string) change.Key { return change.Key{Kind: maps, Namespace: "default", Name: name} }

// put writes an object, which only has to be told from others.
func (m *master) put(name, value string) change.Rev {
	m.t.Helper()
	rev, err := m.tryPut(name, value)
	if err != nil {
		m.t.Fatalf("%s writes %s: %v", m.name, name, err)
	}
	return rev
}

func (m *master) tryPut(name, value string) (change.Rev, error) {
	c := change.Change{Key: key(name), Base: change.Any}
	if value != "" {
		c.Value = []byte(value)
	}
	return m.store.Commit(context.Background(), []change.Change{c})
}

// state is what a view has of the tests' kinds.
func (m *master) state() map[string]string {
	out := map[string]string{}
	for _, kind := range []change.Kind{maps, secrets} {
		for rec := range m.store.View().List(kind, "") {
			out[string(kind)+"/"+rec.Key.Name] = fmt.Sprintf("%s %s", rec.Rev, rec.Value)
		}
	}
	return out
}

// same waits until two masters show the same.
func same(t *testing.T, a, b *master) {
	t.Helper()
	eventually(t, a.name+" and "+b.name+" show the same", func() error {
		if diff := cmp.Diff(a.state(), b.state()); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

// A cluster's state is in etcd, an empty directory gets it back, and what is secret is encrypted there.
func TestReplicateAndRestore(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	a := newMaster(t, "a", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	a.put("one", "1")
	a.put("two", "2")
	a.put("one", "11")
	a.put("gone", "x")
	a.put("gone", "")
	secret := change.Key{Kind: secrets, Namespace: "default", Name: "s"}
	if _, err := a.store.Commit(t.Context(), []change.Change{{Key: secret, Value: []byte("very secret")}}); err != nil {
		t.Fatal(err)
	}
	held := e.dump("/skerry/")
	for k, v := range held {
		if slices.Contains([]string{"/skerry/test/objects/secrets/default/s"}, k) && string(v[8:]) == "very secret" {
			t.Errorf("%s lies in etcd as it is", k)
		}
	}
	if len(e.dump("/skerry/test/objects/")) != 3 {
		t.Errorf("etcd has %q", held)
	}
	before := a.state()
	a.stop()

	b := newMaster(t, "b", keys, e.urls()...)
	b.start()
	b.wait(Leading)
	if diff := cmp.Diff(before, b.state()); diff != "" {
		t.Errorf("restored (-was +is):\n%s", diff)
	}
	if a, b := before["configmaps/one"], b.put("one", "12"); a >= b.String() {
		t.Errorf("revision %s after %s", b, a)
	}
	b.stop()

	// The first one comes back and has what was written without it.
	a.start()
	a.wait(Leading)
	if got := string(must(t, a.store.View(), key("one")).Value); got != "12" {
		t.Errorf("got %s", got)
	}
}

func must(t *testing.T, v change.View, k change.Key) change.Record {
	t.Helper()
	rec, ok := v.Get(k)
	if !ok {
		t.Fatalf("there is no %s", k)
	}
	return rec
}

// Without etcd a leader goes on, within two seconds, also over its restart; when etcd is back it gets everything.
func TestUplinkCut(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a := newMaster(t, "a", keys, line.url())
	a.start()
	a.wait(Leading)
	a.put("one", "1")
	term := a.store.Epoch().Term

	line.set(true)
	began := time.Now()
	a.put("one", "2")
	if took := time.Since(began); took > answerLimit+time.Second {
		t.Errorf("the first write without etcd took %s", took)
	}
	a.wait(Away)
	began = time.Now()
	a.put("two", "2")
	a.put("three", "3")
	a.put("three", "")
	if took := time.Since(began); took > time.Second {
		t.Errorf("further writes without etcd took %s", took)
	}
	eventually(t, "the lease has ended", func() error {
		if held := e.dump("/skerry/test/election"); len(held) > 0 {
			return errors.New("it has not")
		}
		return nil
	})
	a.put("four", "4")
	line.set(false)
	a.wait(Leading)
	if now := a.store.Epoch().Term; now != term {
		t.Errorf("a new term %d after %d, though nobody else led", now, term)
	}
	a.put("five", "5")
	if got := len(e.dump("/skerry/test/objects/")); got != 4 {
		t.Errorf("etcd has %d objects", got)
	}

	line.set(true)
	a.put("six", "6")
	a.stop()
	a.start()
	a.wait(Away)
	a.put("seven", "7")
	line.set(false)
	a.wait(Leading)
	b := newMaster(t, "b", keys, e.urls()...)
	b.start()
	b.wait(Follower)
	same(t, a, b)
	if entries, err := a.store.Journal(); len(entries) > 0 || err != nil {
		t.Errorf("the journal has %v, %v", entries, err)
	}
}

// A follower shows what the leader writes, refuses writes, and takes over with all of it.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a, b := newMaster(t, "a", keys, line.url()), newMaster(t, "b", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	for i := range 300 {
		a.put(fmt.Sprint("o", i), "1")
	}
	b.start()
	b.wait(Follower)
	a.put("one", "1")
	a.put("o7", "")
	same(t, a, b)
	if _, err := b.tryPut("one", "2"); !errors.Is(err, store.ErrNotLeader) {
		t.Errorf("a follower's write: %v", err)
	}
	eventually(t, "b knows who leads", func() error {
		if now := b.sync.Status(); now.Leader == nil || now.Leader.Name != "a" {
			return fmt.Errorf("%s", now)
		}
		return nil
	})

	// a is cut off and goes on; b takes over when the lease ends.
	line.set(true)
	began := time.Now()
	b.wait(Leading)
	t.Logf("taken over after %s, with a lease of %s", time.Since(began).Round(time.Millisecond), testTTL)
	a.put("from a", "a")
	a.put("both", "a")
	a.put("o8", "a") // b doesn't touch it
	a.put("o9", "")  // b writes it
	b.put("both", "b")
	b.put("o9", "b")
	line.set(false)
	a.wait(Follower)
	eventually(t, "what a wrote alone is there", func() error {
		_, one := b.store.View().Get(key("from a"))
		eight, _ := b.store.View().Get(key("o8"))
		if !one || string(eight.Value) != "a" {
			return fmt.Errorf("%v %s", one, eight.Value)
		}
		return nil
	})
	eventually(t, "all of it is judged", func() error {
		if got := e.dump("/skerry/test/returned/"); len(got) != 0 {
			return fmt.Errorf("not yet: %d", len(got))
		}
		return nil
	})
	same(t, a, b)
	for name, want := range map[string]string{"both": "b", "o9": "b"} {
		if got := string(must(t, b.store.View(), key(name)).Value); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
	conflicts, err := b.sync.Conflicts(t.Context())
	if err != nil || len(conflicts) != 2 {
		t.Fatalf("conflicts: %+v, %v", conflicts, err)
	}
	if c, found, err := b.sync.Conflict(t.Context(), conflicts[0].ID); !found || err != nil || c.Key != key("both") || string(c.Value) != "a" || c.Master != "a" || c.Reason != "another master has written it since" {
		t.Errorf("the first conflict is %+v", c)
	}
	if c := conflicts[1]; c.Key != key("o9") || !c.Deleted {
		t.Errorf("the second conflict is %+v", c)
	}
	for _, want := range []bool{true, false} {
		if found, err := a.sync.Forget(t.Context(), conflicts[0].ID); found != want || err != nil {
			t.Errorf("forgetting: %t, %v", found, err)
		}
	}
}
