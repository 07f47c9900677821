package etcdsync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/test/lab"
)

// Of three members one may fail, and nobody notices; without two the leader goes on from its journal.
func TestQuorum(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 3), testKeys(t)
	a := newMaster(t, "a", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	term := a.store.Epoch().Term
	a.put("one", "1")
	e.kill(e.members[0])
	for i := range 20 {
		a.put("one", fmt.Sprint(i))
	}
	e.kill(e.members[1])
	a.put("two", "2")
	a.wait(Away)
	if why := a.sync.Status().Problem; why == nil {
		t.Error("no problem is named")
	}
	a.put("three", "3")
	e.start(e.members[0])
	e.start(e.members[1])
	a.wait(Leading)
	a.put("four", "4")
	if got := len(e.dump("/skerry/test/objects/")); got != 4 {
		t.Errorf("etcd has %d objects", got)
	}
	if now := a.store.Epoch().Term; now != term {
		t.Errorf("term %d after %d", now, term)
	}
}

// An etcd that lost everything is filled from the leader in a newer term, and the follower keeps what it has meanwhile.
func TestEtcdIsWiped(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	a, b := newMaster(t, "a", keys, e.urls()...), newMaster(t, "b", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	for i := range 400 {
		a.put(fmt.Sprint("o", i), "1")
	}
	b.start()
	b.wait(Follower)
	same(t, a, b)
	before, epoch := a.state(), a.store.Epoch()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := e.client().Delete(ctx, "/skerry/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "etcd is filled", func() error {
		if got := len(e.dump("/skerry/test/objects/")); got != len(before) {
			return fmt.Errorf("%d objects", got)
		}
		if len(e.dump("/skerry/test/refilling")) > 0 {
			return errors.New("not done")
		}
		return nil
	})
	a.wait(Leading)
	if now := a.store.Epoch(); now.Term <= epoch.Term {
		t.Errorf("epoch %s after %s", now, epoch)
	}
	a.put("more", "1")
	same(t, a, b)
	if got := len(b.state()); got != len(before)+1 {
		t.Errorf("the follower has %d objects", got)
	}
}

// An old backup of etcd is brought up to date by the leader, in a newer term.
func TestEtcdIsRestored(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	a := newMaster(t, "a", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	a.put("one", "1")
	m := e.members[0]
	dir := ""
	for i, arg := range m.args {
		if arg == "--data-dir" {
			dir = m.args[i+1]
		}
	}
	e.kill(m)
	if err := os.CopyFS(dir+".backup", os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	e.start(m)
	a.wait(Leading)
	a.put("one", "2")
	a.put("two", "2")
	a.wait(Leading)
	epoch := a.store.Epoch()
	e.kill(m)
	if err := errors.Join(os.RemoveAll(dir), os.Rename(dir+".backup", dir)); err != nil {
		t.Fatal(err)
	}
	a.put("three", "3")
	e.start(m)
	eventually(t, "a new term", func() error {
		if a.store.Epoch().Term == epoch.Term || a.sync.Status().State != Leading {
			return errors.New(a.sync.Status().String())
		}
		return nil
	})
	a.stop()
	b := newMaster(t, "b", keys, e.urls()...)
	b.start()
	b.wait(Leading)
	for name, want := range map[string]string{"one": "2", "two": "2", "three": "3"} {
		if got := string(must(t, b.store.View(), key(name)).Value); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
}

// A master that yields takes no writes once another may lead, and follows when it is back.
func TestYield(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a, b := newMaster(t, "a", keys, line.url()), newMaster(t, "b", keys, e.urls()...)
	// Its time to yield must not begin before the lease does.
	a.config.CutOff, a.config.TTL = CutOffYield, 6*time.Second
	a.start()
	a.wait(Leading)
	a.put("one", "1")
	b.start()
	b.wait(Follower)
	line.set(true)
	eventually(t, "a takes no writes", func() error {
		if _, err := a.tryPut("x", "1"); !errors.Is(err, store.ErrNotLeader) {
			return fmt.Errorf("it says %v", err)
		}
		return nil
	})
	if now := a.sync.Status(); now.Leader != nil {
		t.Errorf("a says that %s leads", now.Leader.Name)
	}
	if now := b.sync.Status(); now.State != Follower {
		t.Errorf("b is %s before a has stopped", now)
	}
	b.wait(Leading)
	b.put("one", "2")
	line.set(false)
	a.wait(Follower)
	same(t, a, b)
}

// A master whose keys are of another cluster touches nothing, and says what to do.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, 1)
	a := newMaster(t, "a", testKeys(t), e.urls()...)
	a.start()
	a.wait(Leading)
	a.put("one", "1")
	before := len(e.dump("/skerry/"))
	b := newMaster(t, "b", testKeys(t), e.urls()...)
	b.start()
	err := <-b.ended
	if err == nil || !strings.Contains(err.Error(), "put secrets.key of another master there") {
		t.Errorf("it ended with %v", err)
	}
	b.ended <- nil
	if after := len(e.dump("/skerry/")); after != before {
		t.Errorf("%d keys became %d", before, after)
	}
}

// hooked calls after each Between that went well.
type hooked struct {
	Store
	after func()
}

func (h hooked) Between(do func() error) error {
	err := h.Store.Between(do)
	if err == nil {
		h.after()
	}
	return err
}

// The first write after etcd has everything fails, before the master has noticed that it leads again: it does not stay away for that.
func TestAwayAgainAtOnce(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	a := newMaster(t, "a", keys, e.urls()...)
	var failed atomic.Bool
	a.wrap = func(local Store) Store {
		return hooked{local, func() {
			if a.sync.Status().State == Leading && failed.CompareAndSwap(false, true) {
				a.sync.goAway(errors.New("a member is cut off"))
			}
		}}
	}
	a.start()
	a.wait(Leading)
	if !failed.Load() {
		t.Error("it has not failed")
	}
	a.put("one", "1")
	if left, err := a.store.Journal(); err != nil || len(left) > 0 {
		t.Errorf("etcd lacks %v, %v", left, err)
	}
}

// A full etcd counts as away, and the reason is told.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1, "--quota-backend-bytes", fmt.Sprint(1<<20)), testKeys(t)
	a := newMaster(t, "a", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	value, n := strings.Repeat("x", 100<<10), 0
	// etcd counts its size when it writes to its disk, not with each request: how many writes it takes is not to foresee.
	eventually(t, "a is away", func() error {
		a.put(fmt.Sprint("big", n), value)
		n++
		if a.sync.Status().State != Away {
			return errors.New("it is " + a.sync.Status().String())
		}
		return nil
	})
	if why := a.sync.Status().String(); !strings.Contains(why, "alarm NOSPACE") {
		t.Errorf("it says %s", why)
	}
}

// Nothing answers: an empty master makes no cluster of its own, and one with a state serves it.
func TestWithoutEtcdAtTheStart(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	url := "http://" + lab.FreeAddress()
	a := newMaster(t, "a", keys, url)
	a.start()
	eventually(t, "it has tried", func() error {
		if a.sync.Status().Problem == nil {
			return errors.New("it has not")
		}
		return nil
	})
	if now := a.sync.Status(); now.State != Waiting {
		t.Errorf("it is %s", now)
	}
	if _, err := a.tryPut("one", "1"); !errors.Is(err, store.ErrNotLeader) {
		t.Errorf("a write: %v", err)
	}
	a.stop()

	bounded, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := Ask(bounded, a.config); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("asking: %v", err)
	}
}

// A master that knew no etcd gives it what it has.
func TestEtcdIsAddedLater(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	e := startEtcd(t, 1)
	line := newUplink(t, e.urls()[0])
	line.set(true)
	a := newMaster(t, "a", keys, line.url())
	alone := openAlone(t, a)
	for i := range 10 {
		_, err := alone.Commit(t.Context(), []change.Change{{Key: key(fmt.Sprint(i)), Value: []byte("1")}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	a.start()
	a.wait(Away)
	a.put("offline", "1")
	line.set(false)
	a.wait(Leading)
	if got := len(e.dump("/skerry/test/objects/")); got != 11 {
		t.Errorf("etcd has %d objects", got)
	}
}

// What bbolt refuses after etcd took it is put right by the next write.
func TestRetract(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	a := newMaster(t, "a", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	rev := a.put("one", "1")
	batch := store.Batch{Commits: []store.Commit{{Rev: rev + 1, Events: []change.Event{
		{Rev: rev + 1, Key: key("one"), Old: must(t, a.store.View(), key("one")), New: change.Record{Key: key("one"), Rev: rev + 1, Value: []byte("refused")}},
		{Rev: rev + 1, Key: key("two"), New: change.Record{Key: key("two"), Rev: rev + 1, Value: []byte("refused")}},
	}}}}
	err := a.store.Between(func() error {
		err := a.sync.Replicate(t.Context(), a.store.Epoch(), batch)
		a.sync.Retract(batch)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(e.dump("/skerry/test/objects/")); got != 2 {
		t.Errorf("etcd has %d objects", got)
	}
	a.put("three", "3")
	held := e.dump("/skerry/test/objects/")
	if got := string(held["/skerry/test/objects/configmaps/default/one"][8:]); len(held) != 2 || got != "1" {
		t.Errorf("etcd has %d objects, one of them %s", len(held), got)
	}
}

// A batch that is too large for one transaction goes in several; an object that is too large is refused.
func TestLargeCommits(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	a, b := newMaster(t, "a", keys, e.urls()...), newMaster(t, "b", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	var many, large []change.Change
	for i := range 500 {
		many = append(many, change.Change{Key: key(fmt.Sprint("many", i)), Value: []byte("1")})
	}
	for i := range 5 {
		large = append(large, change.Change{Key: key(fmt.Sprint("large", i)), Value: []byte(strings.Repeat("x", 1<<20))})
	}
	for _, changes := range [][]change.Change{many, large} {
		if _, err := a.store.Commit(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.tryPut("huge", strings.Repeat("x", maxValue+1))
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("an object that etcd does not take: %v", err)
	}
	if now := a.sync.Status().State; now != Leading {
		t.Errorf("it is %s", now)
	}
	b.start()
	b.wait(Follower)
	same(t, a, b)
	if got := len(b.state()); got != 505 {
		t.Errorf("%d objects", got)
	}
}

// openAlone opens a master's store as one without etcd does.
func openAlone(t *testing.T, m *master) *bolt.Store {
	t.Helper()
	s, _, err := bolt.Open(bolt.Config{Dir: m.dir, Schema: resource.Schema(), Sealed: resource.Sealed(), Clock: daemon.Clock, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
