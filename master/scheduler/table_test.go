package scheduler

import (
	"iter"

	"github.com/skerry-edge/skerry/master/change"
)

// table is a view that only finds: enough for a planner that lists nothing after Reset.
type table map[change.Key]change.Record

func (t table) Rev() change.Rev { return 1 }
func (t table) Get(k change.Key) (change.Record, bool) {
	rec, ok := t[k]
	return rec, ok
}
func (t table) List(change.Kind, string) iter.Seq[change.Record] {
	return func(func(change.Record) bool) {}
}
func (t table) Indexed(change.Kind, string, string) iter.Seq[change.Record] {
	return func(func(change.Record) bool) {}
}
func (t table) Count(change.Kind) int { return len(t) }
