package etcdsync

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// A follower that was asked to be fresh shows what the leader has acknowledged before; without etcd it can't tell.
func TestFollowersAreFresh(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a, b := newMaster(t, "a", keys, e.urls()...), newMaster(t, "b", keys, line.url())
	a.start()
	a.wait(Leading)
	b.start()
	b.wait(Follower)
	for n := range 200 {
		want := fmt.Sprint(n)
		a.put("one", want)
		for _, m := range []*master{a, b} {
			if err := m.sync.Fresh(t.Context()); err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
			if rec, _ := m.store.View().Get(key("one")); string(rec.Value) != want {
				t.Fatalf("%s shows %s after %s was acknowledged", m.name, rec.Value, want)
			}
		}
	}
	if a, b := a.sync.Standing(), b.sync.Standing(); a != "leading" || b != "following" {
		t.Errorf("they are %s and %s", a, b)
	}
	line.set(true)
	if err := b.sync.Fresh(t.Context()); err == nil {
		t.Error("a follower without etcd says that it is fresh")
	}
	eventually(t, "b knows that etcd is away", func() error {
		if standing := b.sync.Standing(); standing != "away" {
			return fmt.Errorf("it is %s", standing)
		}
		return nil
	})
	if err := b.sync.Fresh(t.Context()); err == nil {
		t.Error("a follower that knows that etcd is away says that it is fresh")
	}
}

// A write is in etcd, and the leader's disk is slow: a follower shows it, and then the leader does not show what was before.
func TestALeaderWithASlowDisk(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	a, b := newMaster(t, "a", keys, e.urls()...), newMaster(t, "b", keys, e.urls()...)
	var held atomic.Bool
	goOn := make(chan struct{})
	a.slow = func() {
		if held.Load() {
			<-goOn
		}
	}
	a.start()
	a.wait(Leading)
	a.put("one", "old")
	b.start()
	b.wait(Follower)
	a.knowsOthers()
	held.Store(true)
	written := make(chan error, 1)
	go func() {
		_, err := a.tryPut("one", "new")
		written <- err
	}()
	eventually(t, "b shows it", func() error {
		rec, _ := b.store.View().Get(key("one"))
		if err := b.sync.Fresh(t.Context()); err != nil || string(rec.Value) != "new" {
			return fmt.Errorf("it shows %s, %v", rec.Value, err)
		}
		return nil
	})
	hurry, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := a.sync.Fresh(hurry); err == nil {
		t.Errorf("the leader says that it is fresh, and shows %s", must(t, a.store.View(), key("one")).Value)
	}
	held.Store(false)
	close(goOn)
	if err := a.sync.Fresh(t.Context()); err != nil || string(must(t, a.store.View(), key("one")).Value) != "new" {
		t.Errorf("the leader shows %s, %v", must(t, a.store.View(), key("one")).Value, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// A leader that has slept longer than its lease lasts does not take what it has for the newest, until etcd has said so.
func TestALeaderThatHasSlept(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a := newMaster(t, "a", keys, line.url())
	var slept atomic.Int64
	a.config.Clock = func() clock.Now { return daemon.Clock().Add(time.Duration(slept.Load())) }
	a.config.TTL, a.config.CutOff = 6*time.Second, CutOffYield
	a.start()
	a.wait(Leading)
	slept.Add(int64(time.Minute))
	eventually(t, "etcd has said that it leads", func() error { return a.sync.Fresh(t.Context()) })
	a.wait(Leading)

	line.set(true)
	slept.Add(int64(time.Minute))
	hurry, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := a.sync.Fresh(hurry); err == nil {
		t.Error("a leader whose lease has ended says that it is fresh")
	}
}
