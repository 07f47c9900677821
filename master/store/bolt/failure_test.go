package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/storetest"
)

// A write that the disk refuses never happened, volatile writes beside it did, and its revisions are not used
// again.
func TestARefusedWriteLeavesTheStateAlone(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir(), Schema: storetest.Schema()})
	first := write(t, s, key("a"), "1")
	real := s.update
	s.update = func(func(*bbolt.Tx) error) error {
		return fmt.Errorf("write: %w", syscall.ENOSPC)
	}
	seen := change.Key{Kind: "seen.skerry.dev", Name: "n1"}
	durable := &request{ctx: t.Context(), changes: []change.Change{{Key: key("b"), Value: []byte("1")}}, done: make(chan result, 1)}
	volatile := &request{ctx: t.Context(), changes: []change.Change{{Key: seen, Value: []byte("1")}}, volatile: true, done: make(chan result, 1)}
	stopWriter(s)
	s.commit([]*request{durable, volatile})
	if r := <-durable.done; !errors.Is(r.err, store.ErrFull) {
		t.Fatalf("got %v, want ErrFull", r.err)
	}
	heard := <-volatile.done
	if heard.err != nil || heard.rev <= first+2 {
		t.Fatalf("the volatile write: %v; the refused ones had up to %s", heard, first+2)
	}
	want := map[string]string{"pods default/a": first.String() + " 1", "seen.skerry.dev n1": heard.rev.String() + " 1"}
	if diff := cmp.Diff(want, list(s)); diff != "" {
		t.Fatal(diff)
	}
	s.update = real
	again := &request{ctx: t.Context(), changes: durable.changes, done: make(chan result, 1)}
	s.commit([]*request{again})
	if r := <-again.done; r.err != nil || r.rev != heard.rev+1 {
		t.Fatalf("once there is room again: %+v", r)
	}
}

// stopWriter lets a test do the writer's work itself.
func stopWriter(s *Store) {
	close(s.closing)
	<-s.stopped
	s.closing = make(chan struct{})
}

// When the last fsync fails nobody knows what the disk holds: nothing more is written, and Run says so.
func TestAWriteOfUnknownFateStopsTheStore(t *testing.T) {
	s, _ := mustOpen(t, Config{Dir: t.TempDir()})
	s.config.Clock = fixedClock
	real := s.update
	s.update = func(f func(*bbolt.Tx) error) error {
		if err := real(f); err != nil {
			return err
		}
		return syscall.EIO
	}
	c := []change.Change{{Key: key("a"), Value: []byte("1")}}
	for range 2 {
		if _, err := s.Commit(t.Context(), c); !errors.Is(err, syscall.EIO) {
			t.Fatalf("got %v", err)
		}
		s.update = real
	}
	if err := s.Run(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Fatalf("run: %v", err)
	}
	if got := list(s); len(got) != 0 {
		t.Fatalf("the view shows %v", got)
	}
	if s = reopen(t, s); s.View().Count("pods") != 1 {
		t.Fatal("the restarted store does not show what is on the disk")
	}
}

// On a real file system without room a commit fails with ErrFull, the store goes on reading, writes again
// once something was deleted elsewhere, and opens again.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("this environment can't mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := mustOpen(t, Config{Dir: dir})
	value := make([]byte, 50<<10)
	var full error
	for i := 0; i < 100 && full == nil; i++ {
		before := list(s)
		_, full = s.Commit(context.Background(), []change.Change{{Key: key(fmt.Sprint(i)), Value: value}})
		if full != nil && !cmp.Equal(before, list(s)) {
			t.Fatal("the refused write is seen")
		}
	}
	if !errors.Is(full, store.ErrFull) {
		t.Fatalf("got %v, want ErrFull", full)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	write(t, s, key("after"), "1")
	before := list(s)
	if s = reopen(t, s); !cmp.Equal(before, list(s)) {
		t.Fatal("the file shows something else than the memory did")
	}
}
