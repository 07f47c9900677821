package plantest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Start is when every world begins, by the wall clock. The master has been up for an hour then.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// World is a cluster's state and the planners that work on it.
type World struct {
	T        testing.TB
	Store    *store.Memory
	Now      clock.Now
	planners []*watched
}

// watched is a planner with the watches of its kinds.
type watched struct {
	reconcile.Planner
	cursors []store.Cursor
}

// New is an empty world with some planners.
func New(t testing.TB, planners ...reconcile.Planner) *World {
	schema := resource.Schema()
	schema.History = map[change.Kind]int{}
	for _, r := range resource.All {
		schema.History[r.Kind] = 1 << 20
	}
	w := &World{
		T:     t,
		Store: store.NewMemory(store.Config{Schema: schema}),
		Now:   clock.Now{Wall: Start, Boot: time.Hour},
	}
	for _, p := range planners {
		w.Add(p)
	}
	return w
}

// Add starts one more planner, or the same anew as after a restart of the master.
func (w *World) Add(p reconcile.Planner) {
	x := &watched{Planner: p}
	view := w.Store.View()
	for _, kind := range p.Kinds() {
		cur, err := w.Store.Watch(kind, view.Rev(), func() {})
		if err != nil {
			w.T.Fatalf("watch %s: %v", kind, err)
		}
		x.cursors = append(x.cursors, cur)
	}
	p.Reset(view)
	w.planners = append(w.planners, x)
}

// Advance lets time pass.
func (w *World) Advance(d time.Duration) { w.Now = w.Now.Add(d) }

// Put creates or replaces objects, whatever their revision. It fills in what the API would: uid, creation time
// and namespace.
func (w *World) Put(objects ...resource.Object) {
	w.T.Helper()
	for _, o := range objects {
		r := resourceOf(o)
		if r.Namespaced && o.GetNamespace() == "" {
			o.SetNamespace(metav1.NamespaceDefault)
		}
		if o.GetUID() == "" {
			o.SetUID(resource.DeriveUID(string(r.Kind) + o.GetNamespace() + "/" + o.GetName()))
		}
		if t := o.GetCreationTimestamp(); t.IsZero() {
			o.SetCreationTimestamp(metav1.NewTime(w.Now.Wall.Truncate(time.Second)))
		}
		value, err := resource.Encode(o)
		if err != nil {
			w.T.Fatal(err)
		}
		w.Commit(change.Change{Key: r.Key(o.GetNamespace(), o.GetName()), Base: change.Any, Value: value})
	}
}

// Commit writes changes.
func (w *World) Commit(changes ...change.Change) {
	w.T.Helper()
	if _, err := w.Store.Commit(w.T.Context(), changes); err != nil {
		w.T.Fatal(err)
	}
}

// Delete removes an object at once.
func (w *World) Delete(r *resource.Resource, namespace, name string) {
	w.T.Helper()
	w.Commit(change.Change{Key: r.Key(namespace, name), Base: change.Any})
}

// Ask deletes an object as the API does for a client.
func (w *World) Ask(r *resource.Resource, namespace, name string) {
	w.T.Helper()
	view := w.Store.View()
	rec, ok := view.Get(r.Key(namespace, name))
	if !ok {
		w.T.Fatalf("%s is not there", r.Key(namespace, name))
	}
	o, err := r.Decode(rec)
	if err != nil {
		w.T.Fatal(err)
	}
	g := resource.NewGroup(view, w.Now.Wall)
	if g.Delete(r, o, rec.Rev, "asked for") {
		w.Commit(g.Changes()...)
	}
}

// Get is an object of the world; the test fails when it is not there.
func Get[T resource.Object](w *World, r *resource.Resource, namespace, name string) T {
	w.T.Helper()
	rec, ok := w.Store.View().Get(r.Key(namespace, name))
	if !ok {
		w.T.Fatalf("%s is not there", r.Key(namespace, name))
	}
	o, err := resource.As[T](r, rec)
	if err != nil {
		w.T.Fatal(err)
	}
	return o
}

// List is all objects of a kind, by namespace and name.
func List[T resource.Object](w *World, r *resource.Resource) []T {
	w.T.Helper()
	var out []T
	for rec := range w.Store.View().List(r.Kind, "") {
		o, err := resource.As[T](r, rec)
		if err != nil {
			w.T.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

// Update changes an object of the world.
func Update[T resource.Object](w *World, r *resource.Resource, namespace, name string, f func(T)) {
	w.T.Helper()
	o := Get[T](w, r, namespace, name)
	f(o)
	w.Put(o)
}

// Has reports whether an object is there.
func (w *World) Has(r *resource.Resource, namespace, name string) bool {
	_, ok := w.Store.View().Get(r.Key(namespace, name))
	return ok
}

// observe brings a planner up to date.
func (w *World) observe(p *watched) {
	w.T.Helper()
	for _, cur := range p.cursors {
		for {
			e, ok, err := cur.Next()
			if err != nil {
				w.T.Fatalf("%s: %v", p.Name(), err)
			}
			if !ok {
				break
			}
			p.Observe(e)
		}
	}
}

// Step lets every planner plan once and commits the plans. It returns what was written and when the planners
// want to be asked again.
func (w *World) Step() (lines []string, next clock.Now) {
	w.T.Helper()
	next = clock.Never
	for _, p := range w.planners {
		w.observe(p)
		view := w.Store.View()
		groups, again := p.Plan(view, w.Now)
		next = clock.Earliest(next, again)
		for _, group := range groups {
			if len(group) == 0 {
				w.T.Fatalf("%s planned an empty group", p.Name())
			}
			for _, c := range group {
				if !holds(view, c) {
					lines = append(lines, line(view, c))
				}
			}
			if _, err := w.Store.Commit(w.T.Context(), group); err != nil {
				w.T.Fatalf("%s: commit: %v", p.Name(), err)
			}
		}
	}
	return lines, next
}

// holds reports whether a change only holds its group to a record.
func holds(view change.View, c change.Change) bool {
	rec, ok := view.Get(c.Key)
	return ok && !c.Deletes() && bytes.Equal(rec.Value, c.Value)
}

// rounds is how many steps a world may need to settle.
const rounds = 10_000

// Settle steps until no planner has anything to write at this time, and returns what was written.
func (w *World) Settle() []string {
	w.T.Helper()
	var lines []string
	for range rounds {
		more, next := w.Step()
		lines = append(lines, more...)
		if len(more) == 0 && !w.Now.Reached(next) {
			return lines
		}
	}
	w.T.Fatalf("the planners do not come to rest; their last writes:\n%s", strings.Join(lines[max(0, len(lines)-20):], "\n"))
	return nil
}

// Rest settles and lets time pass until no planner waits for anything any more. It returns what was written.
func (w *World) Rest() []string {
	w.T.Helper()
	var lines []string
	for range rounds {
		more, next := w.Step()
		lines = append(lines, more...)
		switch {
		case len(more) > 0 || w.Now.Reached(next):
		case next.IsNever():
			return lines
		default:
			w.Advance(next.Since(w.Now))
		}
	}
	w.T.Fatal("the planners wait for ever")
	return nil
}

// Again is what a planner that starts anew has to write.
func (w *World) Again(p reconcile.Planner) (lines []string) {
	view := w.Store.View()
	p.Reset(view)
	groups, _ := p.Plan(view, w.Now)
	for _, group := range groups {
		for _, c := range group {
			lines = append(lines, line(view, c))
		}
	}
	return lines
}

// line describes a write as a test compares it: "verb kind namespace/name: reason". Events show their content.
func line(view change.View, c change.Change) string {
	if c.Key.Kind == resource.Events.Kind && !c.Deletes() {
		var e corev1.Event
		if err := e.Unmarshal(c.Value); err != nil {
			return err.Error()
		}
		about := e.InvolvedObject.Name
		if e.InvolvedObject.Namespace != "" {
			about = e.InvolvedObject.Namespace + "/" + about
		}
		return fmt.Sprintf("event %s %s %s %s: %s", e.Type, e.Reason, strings.ToLower(e.InvolvedObject.Kind), about, e.Message)
	}
	verb := "update"
	if c.Deletes() {
		verb = "delete"
	} else if _, exists := view.Get(c.Key); !exists {
		verb = "create"
	}
	return fmt.Sprintf("%s %s: %s", verb, c.Key, c.Reason)
}

func resourceOf(o resource.Object) *resource.Resource {
	for _, r := range resource.All {
		if fmt.Sprintf("%T", r.New()) == fmt.Sprintf("%T", o) {
			return r
		}
	}
	panic(fmt.Sprintf("no resource for a %T", o))
}
