package deployment

import (
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// component is the name in Events.
const component = "deployment-controller"

// Controller is the Planner; see the package's comment.
type Controller struct {
	known  map[change.Key]known
	byUID  map[types.UID]change.Key
	sets   map[change.Key]set
	strays map[change.Key]bool     // the sets that nobody owns
	owners map[types.UID]types.UID // of a replica set: of its deployment
	dirty  map[change.Key]bool
	timers map[change.Key]clock.Now
}

// known is what the projection holds of a Deployment.
type known struct {
	uid      types.UID
	selector labels.Selector
	progress progress
}

// progress is the last progress that the conditions tell of, and when this master first saw it.
type progress struct {
	stamp metav1.Time
	at    clock.Now
}

// set is what it holds of a ReplicaSet.
type set struct {
	uid, owner types.UID
	labels     labels.Set
}

// New returns a Controller that knows nothing until Reset.
func New() *Controller {
	c := &Controller{}
	c.forget()
	return c
}

func (c *Controller) forget() {
	c.known = map[change.Key]known{}
	c.byUID = map[types.UID]change.Key{}
	c.sets = map[change.Key]set{}
	c.strays = map[change.Key]bool{}
	c.owners = map[types.UID]types.UID{}
	c.dirty = map[change.Key]bool{}
	c.timers = map[change.Key]clock.Now{}
}

// Name is the planner's name.
func (c *Controller) Name() string { return "deployment" }

// Kinds are the kinds that it follows. Pods matter to Recreate alone, which waits for the last of them.
func (c *Controller) Kinds() []change.Kind {
	return []change.Kind{resource.Deployments.Kind, resource.ReplicaSets.Kind, resource.Pods.Kind}
}

// Reset rebuilds the projection.
func (c *Controller) Reset(view change.View) {
	c.forget()
	for _, kind := range []change.Kind{resource.Deployments.Kind, resource.ReplicaSets.Kind} {
		for rec := range view.List(kind, "") {
			c.Observe(change.Event{Rev: rec.Rev, Key: rec.Key, New: rec})
		}
	}
}

// Observe follows one write.
func (c *Controller) Observe(e change.Event) {
	switch e.Key.Kind {
	case resource.Deployments.Kind:
		c.observeDeployment(e)
	case resource.ReplicaSets.Kind:
		c.observeSet(e)
	case resource.Pods.Kind:
		c.observePod(e)
	}
}

func (c *Controller) observeDeployment(e change.Event) {
	before := c.known[e.Key]
	delete(c.known, e.Key)
	delete(c.byUID, before.uid)
	delete(c.timers, e.Key)
	var object appsv1.Deployment
	if !e.New.Exists() || object.Unmarshal(e.New.Value) != nil {
		delete(c.dirty, e.Key)
		return
	}
	selector, err := metav1.LabelSelectorAsSelector(object.Spec.Selector)
	if err != nil || selector.Empty() {
		selector = labels.Nothing() // validation refuses both
	}
	now := known{uid: object.UID, selector: selector}
	if before.uid == now.uid {
		now.progress = before.progress
	}
	c.known[e.Key] = now
	c.byUID[object.UID] = e.Key
	c.dirty[e.Key] = true
}

func (c *Controller) observeSet(e change.Event) {
	if before, ok := c.sets[e.Key]; ok {
		delete(c.sets, e.Key)
		delete(c.strays, e.Key)
		delete(c.owners, before.uid)
		c.touch(e.Key.Namespace, before)
	}
	if !e.New.Exists() {
		return
	}
	meta, err := resource.Meta(e.New.Value)
	if err != nil {
		return
	}
	now := set{uid: meta.UID, labels: meta.Labels}
	if ref := metav1.GetControllerOfNoCopy(&meta); ref != nil {
		now.owner = ref.UID
	}
	c.sets[e.Key] = now
	if now.owner == "" {
		c.strays[e.Key] = true
	}
	c.owners[now.uid] = now.owner
	c.touch(e.Key.Namespace, now)
}

// touch marks the deployments that a replica set matters to.
func (c *Controller) touch(namespace string, s set) {
	if s.owner != "" {
		if key, ok := c.byUID[s.owner]; ok {
			c.dirty[key] = true
		}
		return
	}
	for key, d := range c.known {
		if key.Namespace == namespace && d.selector.Matches(s.labels) {
			c.dirty[key] = true
		}
	}
}

// observePod marks the deployment of a pod that has gone or has ended.
func (c *Controller) observePod(e change.Event) {
	if !e.Old.Exists() {
		return
	}
	if e.New.Exists() {
		var pod corev1.Pod
		if pod.Unmarshal(e.New.Value) != nil || !resource.Ended(&pod) {
			return
		}
	}
	meta, err := resource.Meta(e.Old.Value)
	if err != nil {
		return
	}
	if ref := metav1.GetControllerOfNoCopy(&meta); ref != nil {
		if key, ok := c.byUID[c.owners[ref.UID]]; ok {
			c.dirty[key] = true
		}
	}
}

// Plan takes one step with each dirty deployment, by namespace and name.
func (c *Controller) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	for key, at := range c.timers {
		if now.Reached(at) {
			c.dirty[key] = true
		}
	}
	var groups [][]change.Change
	for _, key := range slices.SortedFunc(maps.Keys(c.dirty), byKey) {
		delete(c.timers, key)
		rec, ok := view.Get(key)
		if !ok {
			delete(c.dirty, key)
			continue
		}
		d, err := resource.As[*appsv1.Deployment](resource.Deployments, rec)
		if err != nil || d.UID != c.known[key].uid {
			delete(c.dirty, key)
			continue
		}
		r := c.rollout(view, now, d, rec)
		r.step()
		if !r.again.IsNever() {
			c.timers[key] = r.again
		}
		if r.group.Len() == 0 {
			// Otherwise it stays dirty until the writes come back as events: they may fail.
			delete(c.dirty, key)
			continue
		}
		groups = append(groups, r.group.Changes())
	}
	next := clock.Never
	for _, at := range c.timers {
		next = clock.Earliest(next, at)
	}
	return groups, next
}

func byKey(a, b change.Key) int {
	if n := strings.Compare(a.Namespace, b.Namespace); n != 0 {
		return n
	}
	return strings.Compare(a.Name, b.Name)
}
