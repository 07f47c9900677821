package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/ballast"
	"github.com/skerry-edge/skerry/protocol/ballast/fulldisk"
)

// fillByObjects writes until the store refuses, and returns the refusal.
func fillByObjects(t *testing.T, s *Store, prefix string) error {
	t.Helper()
	for i := range 500 {
		c := []change.Change{{Key: key(fmt.Sprint(prefix, i)), Base: change.Any, Value: make([]byte, 4<<10)}}
		if _, err := s.Commit(t.Context(), c); err != nil {
			return err
		}
	}
	t.Fatal("two megabytes fit into one")
	return nil
}

// A master whose disk is full starts, deletes, and changes what is small; it takes nothing new until there is room.
func TestAFullDiskCanBeEmptiedAgain(t *testing.T) {
	dir := fulldisk.Mount(t, 1<<20)
	others := filepath.Join(dir, "others")
	if err := os.WriteFile(others, make([]byte, 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := mustOpen(t, Config{Dir: dir})
	write(t, s, key("small"), "1")
	err := fillByObjects(t, s, "a")
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "the disk with "+dir+" is full; free space there, or delete objects") {
		t.Fatalf("the refusal: %v", err)
	}
	fulldisk.Fill(t, dir)
	for range 3 { // each start needs an epoch
		before := list(s)
		s = reopen(t, s)
		if diff := cmp.Diff(before, list(s)); diff != "" {
			t.Fatalf("(-before +after)\n%s", diff)
		}
		if err := fillByObjects(t, s, "b"); !errors.Is(err, store.ErrFull) { // what the file has free is used up
			t.Fatalf("the refusal: %v", err)
		}
		write(t, s, key("small"), "2") // and there is room for this all the same
	}
	for i := range 40 {
		if _, err := s.Commit(t.Context(), []change.Change{{Key: key(fmt.Sprint("a", i)), Base: change.Any}}); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	write(t, s, key("within"), "1") // the file has room, though the disk has none
	if err := os.Remove(others); err != nil {
		t.Fatal(err)
	}
	write(t, s, key("new"), strings.Repeat("x", 200<<10))
	if _, err := os.Stat(filepath.Join(dir, ballast.FileName)); err != nil {
		t.Fatalf("no room is reserved for the next time: %v", err)
	}
	after := list(s)
	if s = reopen(t, s); !cmp.Equal(after, list(s)) {
		t.Fatal("the file shows something else than the memory did")
	}
}

// Deleting goes on while the disk is full, also in one batch with what has no room.
func TestABatchOnAFullDiskIsTakenApart(t *testing.T) {
	dir := fulldisk.Mount(t, 1<<20)
	s, _ := mustOpen(t, Config{Dir: dir})
	write(t, s, key("old"), strings.Repeat("x", 3000))
	write(t, s, key("changed"), "1")
	stopWriter(s)
	fulldisk.Fill(t, dir)
	batch := []*request{
		{changes: []change.Change{{Key: key("new"), Value: make([]byte, 200<<10)}}},
		{changes: []change.Change{{Key: key("old"), Base: change.Any}}},
		{changes: []change.Change{{Key: key("changed"), Base: change.Any, Value: []byte("2")}}},
		{changes: []change.Change{{Key: key("changed"), Base: change.Any, Value: make([]byte, 50<<10)}}},
	}
	for _, r := range batch {
		r.ctx, r.done = context.Background(), make(chan result, 1)
	}
	waiting := append([]*request(nil), batch...)
	s.commit(batch)
	for n, want := range []error{store.ErrFull, nil, nil, store.ErrFull} {
		if r := <-waiting[n].done; !errors.Is(r.err, want) {
			t.Errorf("request %d: %v, want %v", n, r.err, want)
		}
	}
	if rec, _ := s.View().Get(key("changed")); string(rec.Value) != "2" || s.View().Count("pods") != 1 {
		t.Errorf("%v", list(s))
	}
}

// A copy takes no room that the store needs for itself, and leaves nothing when it has none.
func TestACopyLeavesRoom(t *testing.T) {
	dir := fulldisk.Mount(t, 4<<20)
	s, _ := mustOpen(t, Config{Dir: dir})
	write(t, s, key("large"), strings.Repeat("x", 900<<10))
	free, err := ballast.Free(dir)
	if err != nil {
		t.Fatal(err)
	}
	others := free - int64(len(readCopy(t, s))) - s.ballast.Bytes()/2 // the copy itself would fit
	if err := os.WriteFile(filepath.Join(dir, "others"), make([]byte, others), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.Copy()
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "are for other writes") {
		t.Fatalf("the copy: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*"+asideSuffix)); left != nil || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	write(t, s, key("small"), "1")
	if err := os.Remove(filepath.Join(dir, "others")); err != nil {
		t.Fatal(err)
	}
	readCopy(t, s)
}
