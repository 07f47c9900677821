package node

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Config of a Controller. NodeTimeout, SuspectTimeout and Heartbeat are required; they hold for nodes whose link is not
// metered.
type Config struct {
	NodeTimeout    time.Duration // how long a node may be silent
	SuspectTimeout time.Duration // how long a node may take to return after its will
	Heartbeat      time.Duration // interval of the nodes' heartbeats
	// MassFailureWait is how long evictions are paused when too many nodes are silent at once; 0: they never are.
	MassFailureWait time.Duration
	// Start is when this master began to lead: every node has a whole NodeTimeout from then.
	Start clock.Now
}

// maxBackoff bounds how long an agent waits between attempts to connect.
const maxBackoff = 60 * time.Second

// component is the name in Events.
const component = "node-controller"

// Controller is the Planner; see the package's comment.
type Controller struct {
	config Config
	nodes  map[string]*node
	seen   map[string]resource.Seen
	link   *resource.Seen // of the master's own connection; nil until it is known
	// waited is how long, while there was a broker, a node has not made use of the broker's return; of earlier
	// returns since it was last heard.
	waited map[string]time.Duration
	// around: something that decides where pods could go has changed.
	around bool
	// slots are the pods whose permit has not surely ended, with their nodes.
	slots map[types.UID]string
	// troubled are the nodes that pods may have to leave.
	troubled map[string]bool
	mass     massFailure // not forgotten by a Reset: it would begin anew each time
}

// New returns a Controller that knows nothing until Reset.
func New(config Config) *Controller {
	c := &Controller{config: config}
	c.forget()
	return c
}

func (c *Controller) forget() {
	c.nodes, c.seen, c.link, c.around = map[string]*node{}, map[string]resource.Seen{}, nil, true
	c.slots = map[types.UID]string{}
	c.troubled, c.waited = map[string]bool{}, map[string]time.Duration{}
}

// Name is this planner's name.
const Name = "node"

// Name is the planner's name.
func (c *Controller) Name() string { return Name }

// Kinds are the kinds that it follows.
func (c *Controller) Kinds() []change.Kind {
	return []change.Kind{resource.Nodes.Kind, resource.SeenKind, resource.SlotKind, resource.Pods.Kind}
}

// Reset rebuilds the projection. Pods are looked up when a node is in trouble.
func (c *Controller) Reset(view change.View) {
	c.forget()
	for _, kind := range []change.Kind{resource.Nodes.Kind, resource.SeenKind, resource.SlotKind} {
		for rec := range view.List(kind, "") {
			c.Observe(change.Event{Rev: rec.Rev, Key: rec.Key, New: rec})
		}
	}
}

// Observe follows one write.
func (c *Controller) Observe(e change.Event) {
	switch e.Key.Kind {
	case resource.Nodes.Kind:
		c.observeNode(e)
	case resource.SeenKind:
		c.observeSeen(e)
	case resource.SlotKind:
		c.observeSlot(e)
	case resource.Pods.Kind:
		c.observePod(e)
	}
}

// observeSlot notes who may run. When that ends, what waits for it on a lost node goes on.
func (c *Controller) observeSlot(e change.Event) {
	if old, err := resource.DecodeSlot(e.Old.Value); e.Old.Exists() && err == nil {
		delete(c.slots, old.Pod)
		if n := c.nodes[old.Node]; n != nil && c.troubled[old.Node] {
			n.dirty = true
		}
	}
	if s, err := resource.DecodeSlot(e.New.Value); e.New.Exists() && err == nil {
		c.slots[s.Pod] = s.Node
	}
}

func (c *Controller) observeNode(e change.Event) {
	var object corev1.Node
	if !e.New.Exists() || object.Unmarshal(e.New.Value) != nil {
		delete(c.nodes, e.Key.Name)
		delete(c.troubled, e.Key.Name)
		delete(c.waited, e.Key.Name)
		c.around = true
		return
	}
	before := c.nodes[e.Key.Name]
	after := read(&object)
	if before != nil && before.uid == after.uid {
		after.keep(before)
	}
	if before == nil || !before.takesLike(after) {
		c.around = true
	}
	c.nodes[e.Key.Name] = after
	c.note(after)
}

// note keeps track of the nodes in trouble.
func (c *Controller) note(n *node) {
	if n.evicts() {
		c.troubled[n.name] = true
	} else {
		delete(c.troubled, n.name)
	}
}

func (c *Controller) observeSeen(e change.Event) {
	seen, err := resource.DecodeSeen(e.New.Value)
	known := e.New.Exists() && err == nil
	switch {
	case e.Key.Name == resource.LinkName && known:
		c.followLink(seen)
	case e.Key.Name == resource.LinkName:
		c.link, c.around = nil, true
	case known:
		if seen.HeardBoot > c.seen[e.Key.Name].HeardBoot {
			delete(c.waited, e.Key.Name)
		}
		c.seen[e.Key.Name] = seen
	default:
		delete(c.seen, e.Key.Name)
	}
}

// observePod looks at a pod only if a node is in trouble: it may be one of that node's.
func (c *Controller) observePod(e change.Event) {
	if !e.New.Exists() || len(c.troubled) == 0 {
		return
	}
	if name := resource.PodNodeName(e.New.Value); c.troubled[name] {
		c.nodes[name].dirty = true
	}
}

// Plan judges every node, and works on those that are not as they should be.
func (c *Controller) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	next := clock.Never
	for _, n := range c.nodes {
		state, until := c.judge(n, now)
		if state != n.state {
			n.enter(state, now)
			n.dirty, c.around = true, true
			switch state {
			case lost:
				n.lostAt, n.lastWord = now, c.seen[n.name].HeardBoot
			case alive, suspect:
				n.gone, n.released, n.held = false, false, ""
			}
			c.note(n)
		}
		if now.Reached(n.again) {
			n.dirty = true
		}
		next = clock.Earliest(next, until, n.settle(now))
	}
	next = clock.Earliest(next, c.followMassFailure(now))
	var work []*node
	for _, n := range c.nodes {
		if n.dirty || c.around && c.troubled[n.name] {
			n.dirty = true
			work = append(work, n)
		}
	}
	c.around = false
	slices.SortFunc(work, byName)

	var groups [][]change.Change
	for _, n := range work {
		t := &task{Controller: c, view: view, now: now, node: n}
		t.run()
		if len(t.groups) == 0 {
			// Otherwise it stays dirty until the writes come back as events: they may fail.
			n.dirty = false
		}
		groups = append(groups, t.groups...)
	}
	for _, n := range c.nodes {
		next = clock.Earliest(next, n.again)
	}
	return groups, next
}
