// Package reconcile runs planners: it drains the watches, lets each planner see what happened, asks it for a
// plan and commits it. A commit that conflicts is dropped; the planner sees the other write and plans again.
//
//	watch ─► Observe ─► Plan(view, now) ─► Commit ─► watch …
package reconcile
