package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

// Store is what the suite tests: the interface, and what the wiring alone uses of an implementation.
type Store interface {
	store.Store
	Advance(beyond change.Epoch) error
	Close() error
}

// Open returns a new, empty store, and closes it at the end of the test.
type Open func(t *testing.T, config store.Config) Store

// The kinds of the suite.
const (
	pods  change.Kind = "pods"            // indexed by what stands before the first '|' of the value
	maps  change.Kind = "configmaps"      // plain
	seen  change.Kind = "seen.skerry.dev" // volatile
	short change.Kind = "leases"          // keeps four events
)

// Schema is the schema that the suite's stores have.
func Schema() store.Schema {
	return store.Schema{
		Indexes: map[change.Kind][]store.Index{pods: {{Name: "node", Of: func(value []byte) string {
			node, _, ok := bytes.Cut(value, []byte("|"))
			if !ok {
				return ""
			}
			return string(node)
		}}}},
		Volatile: map[change.Kind]bool{seen: true},
		History:  map[change.Kind]int{short: 4, seen: 4},
	}
}

// Run runs the whole contract.
func Run(t *testing.T, open Open) {
	tests := []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"a commit is refused when its base is not what is stored", testConflicts},
		{"a commit happens as a whole or not at all", testAtomic},
		{"a commit that changes nothing writes nothing", testNoop},
		{"a malformed commit is refused", testMalformed},
		{"revisions grow by one with each commit", testRevisions},
		{"a view never changes", testImmutable},
		{"a list is in order and can stop early", testList},
		{"an index follows its objects", testIndex},
		{"a watch yields each write to its kind once, in order", testWatch},
		{"a watch starts anywhere in the history", testWatchFrom},
		{"a cursor says how far it has seen", testCursorRev},
		{"what is too old or unknown is compacted", testCompacted},
		{"volatile kinds have their own history and the same counter", testVolatile},
		{"the replicator decides before anybody sees a write", testReplicator},
		{"a new epoch begins a new block of revisions", testAdvance},
		{"a closed store ends its watches and refuses commits", testClose},
		{"a context that has ended commits nothing", testContext},
		{"concurrent commits lose nothing", testConcurrent},
		{"random operations agree with the reference", testModel},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

func key(kind change.Kind, name string) change.Key {
	return change.Key{Kind: kind, Namespace: "default", Name: name}
}

func create(k change.Key, value string) change.Change {
	return change.Change{Key: k, Value: []byte(value)}
}

func set(k change.Key, value string) change.Change {
	return change.Change{Key: k, Base: change.Any, Value: []byte(value)}
}

func remove(k change.Key) change.Change { return change.Change{Key: k, Base: change.Any} }

// must commits and fails the test when that fails.
func must(t *testing.T, s Store, changes ...change.Change) change.Rev {
	t.Helper()
	rev, err := s.Commit(context.Background(), changes)
	if err != nil {
		t.Fatalf("commit %v: %v", changes, err)
	}
	return rev
}

// refused commits and fails the test unless that fails with the error.
func refused(t *testing.T, s Store, want error, changes ...change.Change) {
	t.Helper()
	before := s.View()
	rev, err := s.Commit(context.Background(), changes)
	if !errors.Is(err, want) {
		t.Fatalf("commit %v: got revision %s and error %v, want %v", changes, rev, err, want)
	}
	if diff := cmp.Diff(dump(before), dump(s.View())); diff != "" {
		t.Fatalf("a refused commit changed the state (-before +after):\n%s", diff)
	}
}

func watch(t *testing.T, s Store, kind change.Kind, from change.Rev) (store.Cursor, *bell) {
	t.Helper()
	b := &bell{c: make(chan struct{}, 1)}
	cur, err := s.Watch(kind, from, b.ring)
	if err != nil {
		t.Fatalf("watch %s from %s: %v", kind, from, err)
	}
	t.Cleanup(cur.Close)
	return cur, b
}

// bell is a one-slot wake-up.
type bell struct{ c chan struct{} }

func (b *bell) ring() {
	select {
	case b.c <- struct{}{}:
	default:
	}
}

// rung reports whether the bell has rung since the last call.
func (b *bell) rung() bool {
	select {
	case <-b.c:
		return true
	default:
		return false
	}
}

// drain takes all that a cursor has.
func drain(t *testing.T, cur store.Cursor) []change.Event {
	t.Helper()
	var events []change.Event
	for {
		e, ok, err := cur.Next()
		if err != nil {
			t.Fatalf("after %d events: %v", len(events), err)
		}
		if !ok {
			return events
		}
		events = append(events, e)
	}
}

// dump is everything in a view that the suite's kinds hold.
func dump(v change.View) []change.Record {
	var out []change.Record
	for _, kind := range []change.Kind{pods, maps, seen, short} {
		for rec := range v.List(kind, "") {
			out = append(out, rec)
		}
	}
	return out
}
