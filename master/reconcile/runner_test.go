package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// fake is a planner made of functions. Its projection is a copy of all objects of its kinds.
type fake struct {
	name   string
	kinds  []change.Kind
	plan   func(f *fake, view change.View, now clock.Now) ([][]change.Change, clock.Now)
	held   map[change.Key]change.Record
	resets int
	plans  int
	events []change.Event
}

func (f *fake) Name() string         { return f.name }
func (f *fake) Kinds() []change.Kind { return f.kinds }

func (f *fake) Reset(view change.View) {
	f.resets++
	f.held = map[change.Key]change.Record{}
	for _, kind := range f.kinds {
		for rec := range view.List(kind, "") {
			f.held[rec.Key] = rec
		}
	}
}

func (f *fake) Observe(e change.Event) {
	f.events = append(f.events, e)
	if e.New.Exists() {
		f.held[e.Key] = e.New
	} else {
		delete(f.held, e.Key)
	}
}

func (f *fake) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	f.plans++
	return f.plan(f, view, now)
}

// copies makes a planner that keeps a copy, of another kind, of each object of a kind.
func copies(from, to change.Kind) *fake {
	return &fake{
		name: string(from) + " to " + string(to), kinds: []change.Kind{from},
		plan: func(f *fake, view change.View, now clock.Now) (groups [][]change.Change, next clock.Now) {
			for _, name := range names(f.held) {
				k := change.Key{Kind: to, Name: name}
				if there, ok := view.Get(k); !ok || string(there.Value) != string(f.held[change.Key{Kind: from, Name: name}].Value) {
					groups = append(groups, []change.Change{{
						Key: k, Base: there.Rev, Value: f.held[change.Key{Kind: from, Name: name}].Value, Reason: "a copy is missing",
					}})
				}
			}
			return groups, clock.Never
		},
	}
}

func names(held map[change.Key]change.Record) (out []string) {
	for k := range held {
		out = append(out, k.Name)
	}
	slices.Sort(out)
	return out
}

// hooked is a store whose commits a test can watch and disturb.
type hooked struct {
	*store.Memory
	commits int
	before  func(changes []change.Change) error
}

func (h *hooked) Commit(ctx context.Context, changes []change.Change) (change.Rev, error) {
	h.commits++
	if h.before != nil {
		if err := h.before(changes); err != nil {
			return 0, err
		}
	}
	return h.Memory.Commit(ctx, changes)
}

func newRunner(t *testing.T, schema store.Schema, planners ...*fake) (*Runner, *hooked) {
	t.Helper()
	h := &hooked{Memory: store.NewMemory(store.Config{Schema: schema})}
	config := Config{Store: h, Logger: zerolog.New(zerolog.NewTestWriter(t))}
	for _, p := range planners {
		config.Planners = append(config.Planners, p)
	}
	r, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return r, h
}

func write(t *testing.T, s *hooked, kind change.Kind, name, value string) change.Rev {
	t.Helper()
	rev, err := s.Memory.Commit(t.Context(), []change.Change{
		{Key: change.Key{Kind: kind, Name: name}, Base: change.Any, Value: []byte(value)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func values(s store.Store, kind change.Kind) []string {
	var out []string
	for rec := range s.View().List(kind, "") {
		out = append(out, rec.Key.Name+"="+string(rec.Value))
	}
	return out
}

func at(seconds int) clock.Now { return clock.Now{Boot: time.Duration(seconds) * time.Second} }

// What one planner writes the next one sees in the same Step, in whichever order they stand, and a settled
// state is left alone.
func TestAStepFollowsTheChainToItsEnd(t *testing.T) {
	a, b, c := copies("a", "b"), copies("b", "c"), copies("c", "d")
	for _, order := range [][]*fake{{a, b, c}, {c, b, a}} {
		r, s := newRunner(t, store.Schema{}, order...)
		write(t, s, "a", "x", "1")
		write(t, s, "a", "y", "1")
		for round := range 3 {
			if next := r.Step(at(1)); !next.IsNever() {
				t.Fatalf("a settled runner wants to be called at %v", next)
			}
			if got := values(s, "d"); !slices.Equal(got, []string{"x=1", "y=1"}) {
				t.Fatalf("got %v", got)
			}
			if s.commits != 3 {
				t.Fatalf("step %d: %d commits, want one for each planner", round, s.commits)
			}
		}
		write(t, s, "a", "x", "2")
		r.Step(at(2))
		if got := values(s, "d"); !slices.Equal(got, []string{"x=2", "y=1"}) {
			t.Fatalf("got %v", got)
		}
	}
}

// Events of several kinds come in the order in which they were written.
func TestEventsKeepTheirOrderAcrossKinds(t *testing.T) {
	f := &fake{name: "f", kinds: []change.Kind{"a", "b", "c"}, plan: nothing}
	r, s := newRunner(t, store.Schema{}, f)
	r.Step(at(1))
	var want []change.Rev
	for i, kind := range []change.Kind{"c", "a", "a", "b", "c", "b", "unrelated", "a"} {
		if rev := write(t, s, kind, "x", fmt.Sprint(i)); kind != "unrelated" {
			want = append(want, rev)
		}
	}
	r.Step(at(1))
	var got []change.Rev
	for _, e := range f.events {
		got = append(got, e.Rev)
	}
	if diff := cmp.Diff(want, got); diff != "" || f.plans != 2 {
		t.Fatalf("%d plans; %s", f.plans, diff)
	}
}

func nothing(*fake, change.View, clock.Now) ([][]change.Change, clock.Now) { return nil, clock.Never }

// Whoever else writes meanwhile: a planner has observed what its view shows, no less and no more.
func TestProjectionAndViewAgree(t *testing.T) {
	var r *Runner
	planned := 0
	f := &fake{name: "f", kinds: []change.Kind{"a", "b"}, plan: func(f *fake, view change.View, _ clock.Now) ([][]change.Change, clock.Now) {
		planned++
		want := map[change.Key]change.Record{}
		for _, kind := range f.kinds {
			for rec := range view.List(kind, "") {
				want[rec.Key] = rec
			}
		}
		if diff := cmp.Diff(want, f.held); diff != "" {
			t.Errorf("plan %d (-view +projection):\n%s", planned, diff)
		}
		return nil, clock.Never
	}}
	// A history this short makes some watches fall behind.
	r, s := newRunner(t, store.Schema{History: map[change.Kind]int{"a": 3}}, f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 2000 {
			kind := []change.Kind{"a", "b"}[i%2]
			changes := []change.Change{{Key: change.Key{Kind: kind, Name: strconv.Itoa(i % 7)}, Base: change.Any, Value: []byte(strconv.Itoa(i))}}
			if i%5 == 0 {
				changes[0].Value = nil
			}
			if _, err := s.Memory.Commit(context.Background(), changes); err != nil {
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		r.Step(at(1))
	}
	if planned < 2 {
		t.Fatal("there was nothing to see")
	}
}

func TestAWatchThatFellBehindResets(t *testing.T) {
	both := &fake{name: "both", kinds: []change.Kind{"a", "b"}, plan: nothing}
	other := &fake{name: "other", kinds: []change.Kind{"b"}, plan: nothing}
	r, s := newRunner(t, store.Schema{History: map[change.Kind]int{"a": 2}}, both, other)
	r.Step(at(1))
	write(t, s, "b", "x", "1")
	for i := range 5 {
		write(t, s, "a", "x", fmt.Sprint(i))
	}
	r.Step(at(1))
	if both.resets != 2 || other.resets != 1 || len(other.events) != 1 {
		t.Fatalf("resets: %d and %d", both.resets, other.resets)
	}
	if got := string(both.held[change.Key{Kind: "a", Name: "x"}].Value); got != "4" {
		t.Fatalf("the projection has %s", got)
	}
	for _, e := range both.events {
		if e.Rev <= s.View().Rev() && e.Key.Kind == "a" {
			t.Fatalf("%v was observed after the reset that included it", e)
		}
	}
	// Both watches go on.
	write(t, s, "a", "x", "5")
	write(t, s, "b", "x", "5")
	r.Step(at(1))
	if both.resets != 2 || string(both.held[change.Key{Kind: "a", Name: "x"}].Value) != "5" || len(other.events) != 2 {
		t.Fatal("the watch did not go on")
	}
}

// A conflict costs the one group that it is in; the planner plans again from what is there now.
func TestAConflictCostsOneGroup(t *testing.T) {
	var outcomes []string
	f := copies("a", "b")
	r, s := newRunner(t, store.Schema{}, f)
	r.config.Observe = func(o Outcome) {
		outcomes = append(outcomes, fmt.Sprint(o.Changes[0].Key.Name, " ", o.Err == nil, " ", errors.Is(o.Err, store.ErrConflict)))
	}
	for _, name := range []string{"x", "y", "z"} {
		write(t, s, "a", name, "1")
	}
	once := true
	s.before = func([]change.Change) error {
		if once {
			once = false
			write(t, s, "b", "y", "somebody else's")
		}
		return nil
	}
	r.Step(at(1))
	if got := values(s, "b"); !slices.Equal(got, []string{"x=1", "y=1", "z=1"}) {
		t.Fatalf("got %v", got)
	}
	want := []string{"x true false", "y false true", "z true false", "y true false"}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Fatal(diff)
	}
	if s.commits != 5 { // all together, each by itself, and y once more
		t.Fatalf("%d commits", s.commits)
	}
}

// Groups that write the same object are not merged: the second is based on what the first found.
func TestGroupsThatOverlapAreCommittedInTurn(t *testing.T) {
	k := func(name string) change.Key { return change.Key{Kind: "b", Name: name} }
	f := &fake{name: "f", kinds: []change.Kind{"a"}, plan: func(_ *fake, view change.View, _ clock.Now) ([][]change.Change, clock.Now) {
		if view.Count("b") > 0 {
			return nil, clock.Never
		}
		return [][]change.Change{
			{{Key: k("x"), Value: []byte("1")}}, {},
			{{Key: k("x"), Value: []byte("2")}, {Key: k("y"), Value: []byte("2")}},
			{{Key: k("z"), Value: []byte("3")}},
		}, clock.Never
	}}
	r, s := newRunner(t, store.Schema{}, f)
	r.Step(at(1))
	if got := values(s, "b"); !slices.Equal(got, []string{"x=1", "z=3"}) {
		t.Fatalf("got %v", got)
	}
}

// A planner whose commits fail waits longer and longer; the others go on; all is well once the store is.
func TestAFailureIsRetriedWithBackoff(t *testing.T) {
	bad, good := copies("a", "full"), copies("a", "b")
	r, s := newRunner(t, store.Schema{}, bad, good)
	full := true
	s.before = func(changes []change.Change) error {
		if full && changes[0].Key.Kind == "full" {
			return store.ErrFull
		}
		return nil
	}
	write(t, s, "a", "x", "1")
	for _, test := range []struct{ now, next, plans int }{
		{0, 1, 1}, {1, 3, 2}, {2, 3, 2}, {3, 7, 3}, {7, 15, 4}, {15, 31, 5}, {31, 63, 6}, {63, 123, 7}, {123, 183, 8},
	} {
		if next := r.Step(at(test.now)); next.Boot != at(test.next).Boot || bad.plans != test.plans {
			t.Fatalf("at %d s: next at %v after %d plans, want %d s and %d", test.now, next.Boot, bad.plans, test.next, test.plans)
		}
	}
	if got := values(s, "b"); len(got) != 1 {
		t.Fatalf("the other planner was held up: %v", got)
	}
	full = false
	if next := r.Step(at(183)); !next.IsNever() || len(values(s, "full")) != 1 {
		t.Fatalf("after the failure: next at %v, %v", next, values(s, "full"))
	}
	full = true
	write(t, s, "a", "y", "1")
	if next := r.Step(at(200)); next.Boot != at(201).Boot {
		t.Fatalf("the back-off did not start over: %v", next)
	}
}

// Planners that undo each other's work can't make a Step endless, and slow down.
func TestPlannersThatNeverSettleAreSlowedDown(t *testing.T) {
	flip := &fake{name: "flip", kinds: []change.Kind{"a"}, plan: func(f *fake, _ change.View, _ clock.Now) ([][]change.Change, clock.Now) {
		rec := f.held[change.Key{Kind: "a", Name: "x"}]
		if string(rec.Value) == "stop" {
			return nil, clock.Never
		}
		return [][]change.Change{{{Key: change.Key{Kind: "a", Name: "x"}, Base: rec.Rev, Value: append([]byte("1"), rec.Value...)}}}, clock.Never
	}}
	r, s := newRunner(t, store.Schema{}, flip)
	now := at(0)
	var pauses []time.Duration
	for range 7 {
		before := flip.plans
		next := r.Step(now)
		if n := flip.plans - before; n != maxRounds {
			t.Fatalf("%d plans in a step", n)
		}
		pauses = append(pauses, next.Since(now))
		now = next
	}
	want := []time.Duration{50, 100, 200, 400, 800, 1000, 1000}
	for i := range want {
		want[i] *= time.Millisecond
	}
	if diff := cmp.Diff(want, pauses); diff != "" {
		t.Fatal(diff)
	}
	write(t, s, "a", "x", "stop")
	if next := r.Step(now); !next.IsNever() {
		t.Fatalf("a settled runner wants to be called at %v", next)
	}
	write(t, s, "a", "x", "go")
	if next := r.Step(now); next.Since(now) != minPause {
		t.Fatalf("the pause did not start over: %v", next.Since(now))
	}
}

// A planner is asked again when it wanted to be, and not before.
func TestDeadlines(t *testing.T) {
	wanted := at(10)
	f := &fake{name: "f", plan: func(*fake, change.View, clock.Now) ([][]change.Change, clock.Now) { return nil, wanted }}
	g := &fake{name: "g", plan: func(_ *fake, _ change.View, now clock.Now) ([][]change.Change, clock.Now) { return nil, at(20) }}
	r, _ := newRunner(t, store.Schema{}, f, g)
	for _, test := range []struct {
		now, wanted, next clock.Now
		plans             int
	}{
		{at(0), at(10), at(10), 1},
		{at(5), at(10), at(10), 1},
		{at(10), at(30), at(20), 2},
		{at(20), at(30), at(20).Add(minPause), 2}, // g asks for the present moment, again and again
		{at(30), at(7), at(30).Add(minPause), 3},
	} {
		wanted = test.wanted
		if next := r.Step(test.now); next != test.next || f.plans != test.plans {
			t.Errorf("at %v: next at %v after %d plans, want %v after %d", test.now.Boot, next.Boot, f.plans, test.next.Boot, test.plans)
		}
	}
}

func TestRunWakesForWritesAndDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		timed := &fake{name: "timed", plan: func(_ *fake, _ change.View, now clock.Now) ([][]change.Change, clock.Now) {
			return nil, now.Add(time.Minute)
		}}
		f := copies("a", "b")
		r, s := newRunner(t, store.Schema{}, f, timed)
		r.config.Clock = func() clock.Now { return clock.Now{Wall: time.Now(), Boot: time.Since(start)} }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		write(t, s, "a", "x", "1")
		synctest.Wait()
		if got := values(s, "b"); len(got) != 1 {
			t.Fatalf("a write did not wake the runner: %v", got)
		}
		time.Sleep(2*time.Minute + time.Second) // virtual
		synctest.Wait()
		if timed.plans != 3 {
			t.Fatalf("%d plans in two minutes", timed.plans)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

// When the store closes before the runner's context ends, the runner waits for that end without spinning.
func TestAClosedStoreIsNoBusyLoop(t *testing.T) {
	r, s := newRunner(t, store.Schema{}, copies("a", "b"))
	r.Step(at(1))
	write(t, s, "a", "x", "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if next := r.Step(at(2)); next.Boot != at(3).Boot {
			t.Fatalf("next at %v", next.Boot)
		}
	}
	r, s = newRunner(t, store.Schema{}, copies("a", "b"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if next := r.Step(at(2)); next.Boot != at(3).Boot {
		t.Fatalf("next at %v", next.Boot)
	}
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	for i := range 2 {
		_, err := New(Config{Store: store.NewMemory(store.Config{}), Registerer: registry})
		if (err != nil) != (i == 1) {
			t.Fatalf("runner %d: %v", i, err)
		}
	}
}
