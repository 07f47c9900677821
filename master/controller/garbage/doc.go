// Package garbage is the Planner that removes what nobody needs any more.
//
//	owners: an object whose owners are all gone is deleted; an owner that is being deleted in the foreground
//	        waits for its dependents; one that orphans them lets them go
//	pods:   of nodes that don't exist (any more); being deleted and on no node; ended, beyond a number
//	events: an hour after they last happened; the oldest, beyond a number
//
// Invariants: whether an owner exists is looked up in the view, by kind, name and uid; an owner of a kind that
// is not served counts as there. Ages are counted on the boot clock; for what is older than this planner the
// wall clock's difference stands in, which at worst keeps it for its time once more.
package garbage
