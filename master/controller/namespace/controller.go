package namespace

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

const (
	// planSize is the number of changes above which a plan leaves the rest to the next.
	planSize = 1000
	// groupSize is how many changes share one commit.
	groupSize = 64
)

// Controller is the Planner; see the package's comment.
type Controller struct {
	kinds       []*resource.Resource // in the order in which a namespace is emptied
	terminating map[string]bool
	dirty       map[string]bool
}

// New returns a Controller that knows nothing until Reset.
func New() *Controller {
	c := &Controller{}
	for _, r := range resource.All {
		if r.Namespaced && r.FromStored == nil && r.RenderedFrom == "" {
			c.kinds = append(c.kinds, r)
		}
	}
	// Those that make others before these, events last: the deletions may tell of themselves.
	slices.SortStableFunc(c.kinds, func(a, b *resource.Resource) int { return rank(a) - rank(b) })
	c.forget()
	return c
}

func rank(r *resource.Resource) int {
	switch r {
	case resource.Deployments:
		return 0
	case resource.ReplicaSets:
		return 1
	case resource.Events:
		return 3
	}
	return 2
}

func (c *Controller) forget() { c.terminating, c.dirty = map[string]bool{}, map[string]bool{} }

// Name is the planner's name.
func (c *Controller) Name() string { return "namespace" }

// Kinds are namespaces and all that can be in them.
func (c *Controller) Kinds() []change.Kind {
	kinds := []change.Kind{resource.Namespaces.Kind}
	for _, r := range c.kinds {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}

// Reset rebuilds the projection.
func (c *Controller) Reset(view change.View) {
	c.forget()
	for rec := range view.List(resource.Namespaces.Kind, "") {
		c.Observe(change.Event{Rev: rec.Rev, Key: rec.Key, New: rec})
	}
}

// Observe follows one write.
func (c *Controller) Observe(e change.Event) {
	if e.Key.Kind != resource.Namespaces.Kind {
		if c.terminating[e.Key.Namespace] {
			c.dirty[e.Key.Namespace] = true
		}
		return
	}
	delete(c.terminating, e.Key.Name)
	delete(c.dirty, e.Key.Name)
	if !e.New.Exists() {
		return
	}
	if meta, err := resource.Meta(e.New.Value); err == nil && meta.DeletionTimestamp != nil {
		c.terminating[e.Key.Name] = true
		c.dirty[e.Key.Name] = true
	}
}

// Plan goes on emptying the namespaces in which something has changed.
func (c *Controller) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	next := clock.Never
	var groups [][]change.Change
	for _, name := range slices.Sorted(maps.Keys(c.dirty)) {
		e := &emptying{view: view, now: now, name: name, left: map[string]int{}, finalizers: map[string]int{}}
		if c.empty(e); e.written >= planSize {
			next = now
		}
		if e.written == 0 {
			c.finish(e)
		}
		e.flush()
		if len(e.groups) == 0 {
			// Otherwise it stays dirty until the writes come back as events: they may fail.
			delete(c.dirty, name)
		}
		groups = append(groups, e.groups...)
	}
	return groups, next
}

// emptying is the work on one namespace in one plan.
type emptying struct {
	view    change.View
	now     clock.Now
	name    string
	group   *resource.Group
	groups  [][]change.Change
	written int
	// What is left and waits for somebody else: objects by kind, and by the finalizers that hold them.
	left, finalizers map[string]int
}

// empty deletes what is in the namespace. A kind's objects go when those that come before are being deleted.
func (c *Controller) empty(e *emptying) {
	for _, r := range c.kinds {
		for rec := range e.view.List(r.Kind, e.name) {
			if e.written >= planSize {
				return
			}
			object, err := r.Decode(rec)
			if err != nil {
				e.open().Drop(rec, "it can't be read")
				e.written++
				continue
			}
			if e.open().Delete(r, object, rec.Rev, "its namespace is being deleted") {
				e.written++
				continue
			}
			e.left[string(r.Kind)]++
			for _, f := range object.GetFinalizers() {
				e.finalizers[f]++
			}
		}
	}
}

// finish lets an empty namespace go, and has one that isn't say what it waits for.
func (c *Controller) finish(e *emptying) {
	rec, ok := e.view.Get(resource.Namespaces.Key("", e.name))
	if !ok {
		return
	}
	ns, err := resource.As[*corev1.Namespace](resource.Namespaces, rec)
	if err != nil || ns.DeletionTimestamp == nil {
		return
	}
	before := ns.DeepCopy()
	if len(e.left) > 0 {
		e.conditions(ns)
		if !equality.Semantic.DeepEqual(before, ns) {
			e.open().Put(resource.Namespaces, ns, rec.Rev, "something is left in it")
		}
		return
	}
	ns.Spec.Finalizers = slices.DeleteFunc(ns.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	switch {
	case len(ns.Spec.Finalizers) == 0 && len(ns.Finalizers) == 0:
		e.open().Drop(rec, "nothing is left in it")
	case !equality.Semantic.DeepEqual(before, ns):
		e.open().Put(resource.Namespaces, ns, rec.Rev, "nothing is left in it")
	}
}

// conditions are those of Kubernetes' namespace controller, without the counts: a write for each pod that ends
// would tell nobody more.
func (e *emptying) conditions(ns *corev1.Namespace) {
	e.set(ns, corev1.NamespaceContentRemaining, "SomeResourcesRemain", "ContentRemoved",
		"Some resources are remaining: ", "All content successfully removed", e.left)
	e.set(ns, corev1.NamespaceFinalizersRemaining, "SomeFinalizersRemain", "ContentHasNoFinalizers",
		"Some content in the namespace has finalizers remaining: ", "All content-preserving finalizers finished", e.finalizers)
}

func (e *emptying) set(ns *corev1.Namespace, kind corev1.NamespaceConditionType, yes, no, some, none string, what map[string]int) {
	c := corev1.NamespaceCondition{
		Type: kind, Status: corev1.ConditionFalse, Reason: no, Message: none,
		LastTransitionTime: metav1.NewTime(e.now.Wall.Truncate(time.Second)),
	}
	if len(what) > 0 {
		c.Status, c.Reason = corev1.ConditionTrue, yes
		c.Message = fmt.Sprintf("%s%s", some, strings.Join(slices.Sorted(maps.Keys(what)), ", "))
	}
	for i := range ns.Status.Conditions {
		old := &ns.Status.Conditions[i]
		if old.Type != kind {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
		return
	}
	ns.Status.Conditions = append(ns.Status.Conditions, c)
}

// open is the group to write into.
func (e *emptying) open() *resource.Group {
	if e.group != nil && e.group.Len() >= groupSize {
		e.flush()
	}
	if e.group == nil {
		e.group = resource.NewGroup(e.view, e.now.Wall)
	}
	return e.group
}

func (e *emptying) flush() {
	if e.group != nil && e.group.Len() > 0 {
		e.groups = append(e.groups, e.group.Changes())
	}
	e.group = nil
}
