// Package change is the vocabulary that planners and the store share: what an object is (Record), what the
// whole state is (View), what somebody wants to write (Change) and what was written (Event).
//
//	store ── View, Event ──► planner ── Change ──► store
//
// It is pure and imports nothing of Skerry. Invariants: records are immutable; a Rev never stands for two
// states; a Change names the revision that it was made from.
package change
