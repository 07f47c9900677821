package garbage

import (
	"cmp"
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Config of a Controller; zero values stand for the defaults.
type Config struct {
	EventTTL time.Duration // how long an event stays after it last happened; an hour, as in Kubernetes
	// MaxEvents is how many events there may be, MaxEnded how many pods that have ended.
	MaxEvents, MaxEnded int
	// Absent is how long a pod may name a node that has never existed; 40 s, as in Kubernetes.
	Absent time.Duration
}

// Defaults of a Config.
const (
	defaultEventTTL  = time.Hour
	defaultMaxEvents = 10_000
	defaultMaxEnded  = 1_000
	defaultAbsent    = 40 * time.Second
)

const (
	// planSize is the number of changes above which a plan leaves the rest to the next.
	planSize = 1000
	// groupSize is how many changes share one commit.
	groupSize = 64
)

// Controller is the Planner; see the package's comment.
type Controller struct {
	parts []part
	kinds []change.Kind
}

// part is one of the collectors.
type part interface {
	reset()
	observe(e change.Event, starting bool)
	plan(p *plan)
}

// New returns a Controller that knows nothing until Reset.
func New(config Config) *Controller {
	c := &Controller{parts: []part{
		&owners{},
		&pods{absent: cmp.Or(config.Absent, defaultAbsent), maxEnded: cmp.Or(config.MaxEnded, defaultMaxEnded)},
		&events{ttl: cmp.Or(config.EventTTL, defaultEventTTL), limit: cmp.Or(config.MaxEvents, defaultMaxEvents)},
	}}
	for _, r := range resource.All {
		if r.FromStored == nil && r.RenderedFrom == "" {
			c.kinds = append(c.kinds, r.Kind)
		}
	}
	for _, p := range c.parts {
		p.reset()
	}
	return c
}

// Name is the planner's name.
func (c *Controller) Name() string { return "garbage" }

// Kinds are all that are stored.
func (c *Controller) Kinds() []change.Kind { return c.kinds }

// Reset rebuilds the projections.
func (c *Controller) Reset(view change.View) {
	for _, p := range c.parts {
		p.reset()
		for _, kind := range c.kinds {
			for rec := range view.List(kind, "") {
				p.observe(change.Event{Rev: rec.Rev, Key: rec.Key, New: rec}, true)
			}
		}
	}
}

// Observe follows one write.
func (c *Controller) Observe(e change.Event) {
	for _, p := range c.parts {
		p.observe(e, false)
	}
}

// Plan lets every collector remove what it has found.
func (c *Controller) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	p := &plan{view: view, now: now, next: clock.Never}
	for _, part := range c.parts {
		part.plan(p)
	}
	p.flush()
	return p.groups, p.next
}

// plan is one Plan in the making.
type plan struct {
	view   change.View
	now    clock.Now
	next   clock.Now
	groups [][]change.Change
	group  *resource.Group
	size   int
	// written are the objects that the plan changes: none is changed twice.
	written map[change.Key]bool
}

// full reports whether the rest shall wait for the next plan, which it asks for.
func (p *plan) full() bool {
	if p.size < planSize {
		return false
	}
	p.next = p.now
	return true
}

// claim reports whether the object may be written, which it may once a plan.
func (p *plan) claim(key change.Key) bool {
	if p.written[key] {
		return false
	}
	if p.written == nil {
		p.written = map[change.Key]bool{}
	}
	p.written[key] = true
	return true
}

// open is the group to write into.
func (p *plan) open() *resource.Group {
	if p.group != nil && p.group.Len() >= groupSize {
		p.flush()
	}
	if p.group == nil {
		p.group = resource.NewGroup(p.view, p.now.Wall)
	}
	return p.group
}

func (p *plan) flush() {
	if p.group != nil && p.group.Len() > 0 {
		p.groups = append(p.groups, p.group.Changes())
		p.size += p.group.Len()
	}
	p.group = nil
}
