package rbac

import (
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Controller is the Planner of aggregated roles; see the package's comment.
type Controller struct {
	dirty bool // a ClusterRole was written
}

// New returns a Controller that knows nothing until Reset.
func New() *Controller { return &Controller{} }

// Name is the planner's name.
func (c *Controller) Name() string { return "rbac" }

// Kinds are cluster roles.
func (c *Controller) Kinds() []change.Kind { return []change.Kind{resource.ClusterRoles.Kind} }

// Reset makes the next plan look at all roles. There is no projection: roles are few, and change rarely.
func (c *Controller) Reset(change.View) { c.dirty = true }

// Observe follows one write.
func (c *Controller) Observe(change.Event) { c.dirty = true }

// Plan gives aggregated roles the rules that they should have.
func (c *Controller) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	if !c.dirty {
		return nil, clock.Never
	}
	all := load(view)
	all.aggregate()
	g := resource.NewGroup(view, now.Wall)
	all.write(g, view, now.Wall, "the roles that it is made of have changed")
	if g.Len() == 0 {
		// Otherwise it stays dirty until the writes come back as events: they may fail.
		c.dirty = false
		return nil, clock.Never
	}
	return [][]change.Change{g.Changes()}, clock.Never
}
