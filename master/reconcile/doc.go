// Package reconcile runs planners: it drains the watches, lets each planner see what happened, asks it for a
// plan and commits it. A commit that conflicts is dropped; the planner sees the other write and plans again.
//
//	watch ─► Observe ─► Plan(view, now) ─► Commit ─► watch …
//
// Each kind has one cursor, shared by all planners. A planner plans over a view that holds exactly what it has
// observed, and what the planner before it has just written. One Step goes on until a round writes nothing, or
// until the rounds are used up: planners that chase each other slow down instead of spinning. Step reads no
// clock and starts no goroutine; Run is the thin shell around it.
package reconcile
