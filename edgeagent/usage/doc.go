// Package usage says what the containers of this node use at the moment: `kubectl top pod`.
//
//	stream ── open ──► first reading ── half a second ──► second reading ── report ──► end
//
// Invariants: nothing is read, kept or sent while nobody asks; who asks is answered once, from counters that were read
// twice for that answer; whoever leaves before ends the measurement.
package usage
