// Package plantest runs planners in tests: over a store in memory, in virtual time, from one goroutine. A test
// puts objects, lets the planners settle and compares what they wrote, with its reasons, to what it expects.
//
//	Put ─► Settle: (events ─► Observe, Plan ─► Commit) until nothing is planned ─► lines such as
//	"update pods default/web: Successfully assigned default/web to pi-1"
package plantest
