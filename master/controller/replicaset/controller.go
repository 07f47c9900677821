package replicaset

import (
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Config of a Controller.
type Config struct {
	// Burst is the most pods that one plan creates or deletes for one ReplicaSet; 0 means Kubernetes' 500.
	Burst int
}

const (
	defaultBurst = 500
	// planSize is the number of changes above which a plan leaves the rest to the next.
	planSize = 2000
	// groupSize is how many pods share one commit, and so one sync of the disk.
	groupSize = 32
	// component is the name in Events.
	component = "replicaset-controller"
)

// Controller is the Planner; see the package's comment.
type Controller struct {
	burst       int
	pods        *pods
	sets        map[change.Key]set
	byNamespace map[string]map[change.Key]bool     // sets
	adoptable   map[change.Key]map[change.Key]bool // of a set: orphans that it may adopt
	byUID       map[types.UID]change.Key
	dirty       map[change.Key]bool
	timers      map[change.Key]clock.Now // when a pod of a set becomes available
	held        map[change.Key]bool      // sets that lack pods and wait until others have ended
}

// set is what the projection holds of a ReplicaSet.
type set struct {
	uid      types.UID
	selector labels.Selector
}

// New returns a Controller that knows nothing until Reset.
func New(config Config) *Controller {
	if config.Burst <= 0 {
		config.Burst = defaultBurst
	}
	c := &Controller{burst: config.Burst}
	c.forget()
	return c
}

func (c *Controller) forget() {
	c.pods = newPods()
	c.sets = map[change.Key]set{}
	c.byNamespace = map[string]map[change.Key]bool{}
	c.adoptable = map[change.Key]map[change.Key]bool{}
	c.byUID = map[types.UID]change.Key{}
	c.dirty = map[change.Key]bool{}
	c.timers = map[change.Key]clock.Now{}
	c.held = map[change.Key]bool{}
}

// Name is the planner's name.
func (c *Controller) Name() string { return "replicaset" }

// Kinds are the kinds that it follows.
func (c *Controller) Kinds() []change.Kind {
	return []change.Kind{resource.Namespaces.Kind, resource.ServiceAccounts.Kind, resource.ReplicaSets.Kind, resource.Pods.Kind}
}

// Reset rebuilds the projection.
func (c *Controller) Reset(view change.View) {
	c.forget()
	for _, kind := range c.Kinds() {
		for rec := range view.List(kind, "") {
			c.observe(change.Event{Rev: rec.Rev, Key: rec.Key, New: rec}, true)
		}
	}
}

// Observe follows one write.
func (c *Controller) Observe(e change.Event) { c.observe(e, false) }

func (c *Controller) observe(e change.Event, starting bool) {
	switch e.Key.Kind {
	case resource.Namespaces.Kind:
		for key := range c.byNamespace[e.Key.Name] {
			c.dirty[key] = true // it may let in other pods now
		}
	case resource.ServiceAccounts.Kind:
		for key := range c.byNamespace[e.Key.Namespace] {
			c.dirty[key] = true // its pods may have waited for it
		}
	case resource.ReplicaSets.Kind:
		c.observeSet(e)
	case resource.Pods.Kind:
		before, after := c.pods.observe(e, starting)
		if before != nil && before.ending() && (after == nil || !after.ending()) {
			for key := range c.held {
				c.dirty[key] = true
			}
		}
		if before.sameOrphan(after) {
			return
		}
		c.touch(before)
		c.touch(after)
	}
}

func (c *Controller) observeSet(e change.Event) {
	known := c.sets[e.Key]
	delete(c.sets, e.Key)
	delete(c.byUID, known.uid)
	delete(c.timers, e.Key)
	delete(c.held, e.Key)
	var object appsv1.ReplicaSet
	if !e.New.Exists() || object.Unmarshal(e.New.Value) != nil {
		delete(c.dirty, e.Key)
		delete(c.adoptable, e.Key)
		delete(c.byNamespace[e.Key.Namespace], e.Key)
		return
	}
	selector, err := metav1.LabelSelectorAsSelector(object.Spec.Selector)
	if err != nil || selector.Empty() {
		selector = labels.Nothing() // validation refuses both; to match everything would adopt everything
	}
	c.sets[e.Key] = set{uid: object.UID, selector: selector}
	c.byUID[object.UID] = e.Key
	c.dirty[e.Key] = true
	if c.byNamespace[e.Key.Namespace] == nil {
		c.byNamespace[e.Key.Namespace] = map[change.Key]bool{}
	}
	c.byNamespace[e.Key.Namespace][e.Key] = true
	if known.uid != object.UID {
		for _, p := range c.pods.orphans[e.Key.Namespace] {
			c.offer(p, e.Key)
		}
	}
}

// offer notes that a set may adopt an orphan, if so it is.
func (c *Controller) offer(p *pod, key change.Key) {
	if !p.active() || !c.sets[key].selector.Matches(p.labels) {
		return
	}
	if c.adoptable[key] == nil {
		c.adoptable[key] = map[change.Key]bool{}
	}
	c.adoptable[key][p.key] = true
	c.dirty[key] = true
}

// touch marks the sets that a pod matters to.
func (c *Controller) touch(p *pod) {
	if p == nil {
		return
	}
	if p.owner != "" {
		if key, ok := c.byUID[p.owner]; ok {
			c.dirty[key] = true
		}
		return
	}
	for key := range c.byNamespace[p.key.Namespace] {
		c.offer(p, key)
	}
}

// Plan works on the dirty sets, by namespace and name.
func (c *Controller) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	for key, at := range c.timers {
		if now.Reached(at) {
			c.dirty[key] = true
		}
	}
	var groups [][]change.Change
	size := 0
	next := clock.Never
	for _, key := range slices.SortedFunc(maps.Keys(c.dirty), byKey) {
		if size >= planSize {
			next = now // the rest comes with the next plan
			break
		}
		delete(c.timers, key)
		delete(c.held, key)
		rs, rec, ok := c.read(view, key)
		if !ok {
			delete(c.dirty, key)
			continue
		}
		s := &sync{Controller: c, view: view, now: now, rs: rs, rec: rec}
		s.run()
		if s.again != clock.Never {
			c.timers[key] = s.again
		}
		if len(s.groups) == 0 {
			// Otherwise it stays dirty until the writes come back as events: they may fail.
			delete(c.dirty, key)
			continue
		}
		for _, g := range s.groups {
			groups = append(groups, g.Changes())
			size += g.Len()
		}
	}
	for _, at := range c.timers {
		next = clock.Earliest(next, at)
	}
	return groups, next
}

func (c *Controller) read(view change.View, key change.Key) (*appsv1.ReplicaSet, change.Record, bool) {
	rec, ok := view.Get(key)
	if !ok {
		return nil, rec, false
	}
	rs, err := resource.As[*appsv1.ReplicaSet](resource.ReplicaSets, rec)
	if err != nil || rs.UID != c.sets[key].uid {
		return nil, rec, false
	}
	return rs, rec, true
}

func byKey(a, b change.Key) int {
	if n := strings.Compare(a.Namespace, b.Namespace); n != 0 {
		return n
	}
	return strings.Compare(a.Name, b.Name)
}
