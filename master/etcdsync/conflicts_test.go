package etcdsync

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
)

// What lost is kept with who wrote it, when, where and in which epoch, until it is forgotten. A Secret that lost lies encrypted
// in etcd, and is read again.
func TestConflictsAreKept(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	line := newUplink(t, e.urls()[0])
	a, b := newMaster(t, "a", keys, line.url()), newMaster(t, "b", keys, e.urls()...)
	told := make(chan string, 10)
	b.config.TellOf = func(about change.Key, reason, message string) { told <- about.String() + " " + reason + " " + message }
	a.start()
	a.wait(Leading)
	b.start()
	b.wait(Follower)
	secret := change.Key{Kind: secrets, Namespace: "default", Name: "crown"}
	line.set(true)
	b.wait(Leading)
	if _, err := a.store.Commit(t.Context(), []change.Change{{Key: secret, Base: change.Any, Value: []byte("near-hush"), Reason: "update by alice"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Commit(t.Context(), []change.Change{{Key: secret, Base: change.Any, Value: []byte("far-hush"), Reason: "update by bob"}}); err != nil {
		t.Fatal(err)
	}
	line.set(false)
	var all []Conflict
	eventually(t, "there is a conflict", func() (err error) {
		if all, err = b.sync.Conflicts(t.Context()); err == nil && len(all) != 1 {
			err = fmt.Errorf("%v", all)
		}
		return err
	})
	for key, value := range e.dump("/skerry/test/conflicts/") {
		if bytes.Contains(value, []byte("hush")) || bytes.Contains(value, []byte("aHVz")) {
			t.Errorf("in the clear at %s: %s", key, value)
		}
	}
	c, found, err := b.sync.Conflict(t.Context(), all[0].ID)
	if err != nil || !found || string(c.Value) != "near-hush" || c.By != "update by alice" || time.Since(c.At).Abs() > time.Minute || c.Master != "a" || c.Rev.Epoch().Term != 1 || c.Key != secret {
		t.Errorf("found %t, %v: %+v", found, err, c)
	}
	if got := <-told; !strings.HasPrefix(got, "secrets default/crown WriteConflict") || !strings.Contains(got, c.ID) || strings.Contains(got, "hush") {
		t.Errorf("told: %s", got)
	}
	for _, want := range []bool{true, false} {
		if found, err := b.sync.Forget(t.Context(), c.ID); err != nil || found != want {
			t.Errorf("forgetting: %t, %v, want %t", found, err, want)
		}
	}
}

// Of too many the newest are kept.
func TestConflictsAreBounded(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	a := newMaster(t, "a", keys, e.urls()...)
	a.start()
	a.wait(Leading)
	client := e.client()
	for i := range maxConflicts + 7 {
		b := brought{Kind: maps, Namespace: "default", Name: fmt.Sprint("m", i), Newest: change.Rev(1000 + i), User: true, Deleted: true, Reason: "lost"}
		if _, err := client.Put(t.Context(), a.sync.layout.conflicts()+b.name(), encode(b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.sync.boundConflicts(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := a.sync.Conflicts(t.Context())
	if err != nil || len(all) != maxConflicts || all[0].Key.Name != "m7" || all[maxConflicts-1].Key.Name != fmt.Sprint("m", maxConflicts+6) {
		t.Errorf("%d are kept, %v", len(all), err)
	}
}

// heldKeys are the keys of a test.
type heldKeys struct {
	mu                sync.Mutex
	recipient, digest string
}

func (k *heldKeys) set(recipient, digest string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.recipient, k.digest = recipient, digest
}

func (k *heldKeys) follows() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.recipient
}

func (k *heldKeys) State() (KeyState, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return KeyState{Recipient: k.recipient, Digest: []byte(k.digest)}, nil
}

func (k *heldKeys) Wrap() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return []byte("wrapped for " + k.recipient + " " + k.digest), nil
}

func (k *heldKeys) Follow(recipient string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.recipient = recipient
	return nil
}

// The leader puts the wrapped keys into etcd, and puts them there again when they change; followers wrap for the same recovery key.
// What somebody else writes there is not followed, and replaced by the leader.
func TestKeysInEtcd(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	a, b := newMaster(t, "a", keys, e.urls()...), newMaster(t, "b", keys, e.urls()...)
	held, other := &heldKeys{recipient: "", digest: "1"}, &heldKeys{digest: "1"}
	a.config.Keys, b.config.Keys = held, other
	a.start()
	a.wait(Leading)
	if err := a.sync.ShareKeys(t.Context()); err != nil || len(e.dump("/skerry/test/keys")) != 0 {
		t.Fatalf("without a recovery key: %v %q", err, e.dump("/skerry/test/keys"))
	}
	found := func() string {
		f, err := Ask(t.Context(), a.config)
		if err != nil {
			t.Fatal(err)
		}
		return string(f.Keys)
	}
	for _, next := range []struct{ recipient, digest string }{{"alice", "1"}, {"alice", "2"}, {"bob", "2"}} {
		held.set(next.recipient, next.digest)
		if err := a.sync.ShareKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := found(); got != "wrapped for "+next.recipient+" "+next.digest {
			t.Errorf("in etcd: %s", got)
		}
	}
	b.start()
	b.wait(Follower)
	if got := other.follows(); got != "bob" {
		t.Errorf("a new follower wraps for %q", got)
	}
	b.stop()

	forged := wrapped{Keys: []byte("mallory's"), State: a.store.SealSetting("another place", []byte(encode(KeyState{Recipient: "mallory"})))}
	if _, err := e.client().Put(t.Context(), "/skerry/test/keys", encode(forged)); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.wait(Follower)
	if got := other.follows(); got != "bob" {
		t.Errorf("a follower wraps for %q", got)
	}
	a.stop()
	b.wait(Leading)
	eventually(t, "the keys are those of the cluster again", func() error {
		if got := found(); got != "wrapped for bob 1" {
			return errors.New(got)
		}
		return nil
	})
}

// Two clusters in one etcd, one's name being the beginning of the other's: each elects its own leader, sees its own objects, and
// wiping one does nothing to the other.
func TestClustersInOneEtcd(t *testing.T) {
	t.Parallel()
	e, keys := startEtcd(t, 1), testKeys(t)
	a, b := newMaster(t, "a", keys, e.urls()...), newMaster(t, "b", keys, e.urls()...)
	b.config.Cluster = "test2"
	a.start()
	b.start()
	a.wait(Leading)
	b.wait(Leading)
	a.put("one", "a")
	b.put("one", "b")
	b.put("two", "b")
	if _, ok := a.store.View().Get(key("two")); ok || string(must(t, a.store.View(), key("one")).Value) != "a" {
		t.Error("a cluster sees another's objects")
	}
	term, before := a.store.Epoch().Term, e.dump("/skerry/test/objects/")
	if _, err := e.client().Delete(t.Context(), "/skerry/test2/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	b.put("three", "b")
	eventually(t, "the wiped cluster is there again", func() error {
		if n := len(e.dump("/skerry/test2/objects/")); n != 3 {
			return fmt.Errorf("%d objects", n)
		}
		return nil
	})
	if after := e.dump("/skerry/test/objects/"); len(after) != len(before) || a.store.Epoch().Term != term || a.sync.Status().State != Leading {
		t.Errorf("the other one: %d objects, %s", len(after), a.sync.Status())
	}
}
