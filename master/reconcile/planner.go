package reconcile

import (
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Planner is one control loop's mind: it sees the state and says what to write. It is pure: no goroutine,
// clock, random source, logger or context. The runner calls its methods from one goroutine.
type Planner interface {
	// Name is the planner's name in logs and metrics.
	Name() string
	// Kinds are the kinds whose events Observe gets.
	Kinds() []change.Kind
	// Reset forgets the projection and rebuilds it from a whole view: at the start and after a watch fell
	// behind.
	Reset(change.View)
	// Observe brings the projection up to date with one write. Events of one kind come in order.
	Observe(change.Event)
	// Plan returns the writes that bring the state nearer to what it should be, in groups: each group is
	// committed by itself, so that one conflict costs one group. Every change is based on the view's
	// revision of its object. next is when to plan again if nothing happens; clock.Never if never.
	// Planning again over a view in which the plan was carried out returns nothing.
	Plan(view change.View, now clock.Now) (groups [][]change.Change, next clock.Now)
}
