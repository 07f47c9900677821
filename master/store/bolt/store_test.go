package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) storetest.Store {
		s, _ := mustOpen(t, Config{Dir: t.TempDir(), Schema: config.Schema, Replicator: config.Replicator})
		return s
	})
}

// The writer goes on to a new epoch before a batch might not fit into the block: here, before each.
func TestABlockOfRevisionsThatIsFullEndsTheEpoch(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	s.reserve = 1 << change.WriteBits
	epoch := s.Epoch()
	for range 5 {
		epoch = epoch.Next()
		rev := write(t, s, key("a"), epoch.String())
		if rev != epoch.First()+1 || s.Epoch() != epoch {
			t.Fatalf("revision %s in epoch %s, want the first of %s", rev, s.Epoch(), epoch)
		}
	}
	s = reopen(t, s)
	if s.Epoch() != epoch.Next() {
		t.Fatalf("the epoch after a restart is %s, want %s", s.Epoch(), epoch.Next())
	}
}

func TestRestartKeepsWhatIsDurable(t *testing.T) {
	schema := storetest.Schema()
	s, report := mustOpen(t, Config{Dir: t.TempDir(), Schema: schema})
	if report != (Report{}) || s.Epoch() != (change.Epoch{Start: 1}) {
		t.Fatalf("a new store: %+v in epoch %s", report, s.Epoch())
	}
	write(t, s, key("a"), "n1|1")
	write(t, s, change.Key{Kind: "namespaces", Name: "default"}, "")
	gone := write(t, s, key("gone"), "n1|1")
	if _, err := s.Commit(t.Context(), []change.Change{{Key: key("gone"), Base: gone}}); err != nil {
		t.Fatal(err)
	}
	durable := write(t, s, key("b"), "n2|1")
	write(t, s, change.Key{Kind: "seen.skerry.dev", Name: "n1"}, "volatile")
	if err := s.SetMeta("ca", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	before := list(s)
	delete(before, "seen.skerry.dev n1")

	s = reopen(t, s)
	if diff := cmp.Diff(before, list(s)); diff != "" {
		t.Fatalf("(-before +after)\n%s", diff)
	}
	if got, err := s.Meta("ca"); string(got) != "secret" || err != nil {
		t.Fatalf("setting: %q, %v", got, err)
	}
	for rec := range s.View().Indexed("pods", "node", "n2") {
		if rec.Key != key("b") {
			t.Fatalf("index: %v", rec)
		}
	}
	if want := (change.Epoch{Start: 2}); s.Epoch() != want || s.View().Rev() != want.First() {
		t.Fatalf("epoch %s at revision %s", s.Epoch(), s.View().Rev())
	}
	// A client that had seen everything durable goes on; one that had seen a volatile write lists again.
	if _, err := s.Watch("pods", durable, func() {}); err != nil {
		t.Fatal(err)
	}
	for _, from := range []change.Rev{gone, durable + 1} {
		if _, err := s.Watch("pods", from, func() {}); !errors.Is(err, store.ErrCompacted) {
			t.Fatalf("watch from %s of the earlier run: %v", from, err)
		}
	}
}

func TestSettings(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	for _, value := range [][]byte{nil, []byte("1"), []byte("2"), {}, nil} {
		if err := s.SetMeta("a", value); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Meta("a"); !cmp.Equal(got, value) || err != nil {
			t.Fatalf("got %v, want %v; %v", got, value, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.SetMeta("a", []byte("3")); !errors.Is(err, store.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := s.Meta("a"); !errors.Is(err, store.ErrClosed) {
		t.Fatal(err)
	}
}

func TestASecondProcessIsToldWhoHasTheDirectory(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	_, _, err := Open(Config{Dir: s.config.Dir, LockTimeout: time.Millisecond})
	if want := "another skerry-master uses " + s.config.Dir; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Fatalf("got %v, want %s…", err, want)
	}
}

func TestADirectoryThatCannotBeMadeIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := Open(Config{Dir: filepath.Join(file, "dir")})
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Fatalf("got %v", err)
	}
}

// While one fsync runs the commits that arrive wait together for the next.
func TestConcurrentCommitsShareAnFsync(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	real, count := s.update, 0
	first, release := make(chan struct{}), make(chan struct{})
	s.update = func(f func(*bbolt.Tx) error) error {
		if count++; count == 1 {
			close(first)
			<-release
		}
		return real(f)
	}
	const commits = 50
	var wg sync.WaitGroup
	revs := make([]change.Rev, commits)
	for i := range commits {
		if i == 1 {
			<-first
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			revs[i] = write(t, s, key(fmt.Sprint(i)), "1")
		}()
	}
	eventually(t, func() bool { return len(s.requests) == commits-1 })
	close(release)
	wg.Wait()
	if count != 2 {
		t.Fatalf("%d commits took %d transactions", commits, count)
	}
	distinct := map[change.Rev]bool{}
	for _, rev := range revs {
		distinct[rev] = true
	}
	if len(distinct) != commits || s.View().Count("pods") != commits {
		t.Fatalf("%d revisions, %d objects", len(distinct), s.View().Count("pods"))
	}
}

func mustOpen(t *testing.T, config Config) (*Store, Report) {
	t.Helper()
	if config.Reserved == 0 {
		config.Reserved = 64 << 10 // for the tests' speed
	}
	s, report, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, report
}

func reopen(t *testing.T, s *Store) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, report := mustOpen(t, s.config)
	if report != (Report{}) {
		t.Fatalf("opening again: %+v", report)
	}
	return again
}

func key(name string) change.Key {
	return change.Key{Kind: "pods", Namespace: "default", Name: name}
}

func write(t *testing.T, s *Store, k change.Key, value string) change.Rev {
	t.Helper()
	rev, err := s.Commit(t.Context(), []change.Change{{Key: k, Base: change.Any, Value: []byte(value)}})
	if err != nil {
		t.Error(err)
	}
	return rev
}

// list is all that a store shows of the kinds of these tests.
func list(s *Store) map[string]string {
	out := map[string]string{}
	for _, kind := range []change.Kind{"pods", "namespaces", "seen.skerry.dev"} {
		for rec := range s.View().List(kind, "") {
			out[rec.Key.String()] = rec.Rev.String() + " " + string(rec.Value)
		}
	}
	return out
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition does not come about")
		}
	}
}
