package resource

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
)

// Group gathers the changes of a planner that are committed together, all made from one view at one time. An
// object of k8s.io/api always encodes; should one not, then nothing of its group is written.
type Group struct {
	view    change.View
	at      time.Time
	changes []change.Change
	broken  bool
}

// NewGroup starts an empty group; at is what a person calls the time.
func NewGroup(view change.View, at time.Time) *Group { return &Group{view: view, at: at} }

// Len is the number of changes so far.
func (g *Group) Len() int { return len(g.changes) }

// Changes are those gathered, in order.
func (g *Group) Changes() []change.Change {
	if g.broken {
		return nil
	}
	return g.changes
}

// Put writes an object that was made from revision base; 0 creates it.
func (g *Group) Put(r *Resource, o Object, base change.Rev, reason string) {
	value, err := Encode(o)
	if err != nil {
		g.broken = true
		return
	}
	g.changes = append(g.changes, change.Change{
		Key: r.Key(o.GetNamespace(), o.GetName()), Base: base, Value: value, Reason: reason,
	})
}

// Hold lets the group be written only while a record is as the view has it. Held twice, it is held once.
func (g *Group) Hold(rec change.Record) {
	for _, c := range g.changes {
		if c.Key == rec.Key {
			return
		}
	}
	g.changes = append(g.changes, change.Change{Key: rec.Key, Base: rec.Rev, Value: rec.Value, Reason: "must be as it was"})
}

// Drop deletes a record, whatever its object says.
func (g *Group) Drop(rec change.Record, reason string) {
	g.changes = append(g.changes, change.Change{Key: rec.Key, Base: rec.Rev, Reason: reason})
}

// Delete does what the API does when a client deletes an object: a pod gets its grace on its node, what
// finalizers hold is marked, and all else goes at once. An object whose deletion has begun is left alone
// unless nothing holds it any more. It reports whether anything is to be written.
func (g *Group) Delete(r *Resource, o Object, base change.Rev, reason string) bool {
	var grace int64
	if r.Deletion != nil && r.Deletion.Grace != nil {
		grace = r.Deletion.Grace(o, nil, func(k change.Key) bool { _, ok := g.view.Get(k); return ok })
	}
	return g.end(r, o, base, grace, reason)
}

// DeleteNow is Delete without grace: for pods that no agent will ever end.
func (g *Group) DeleteNow(r *Resource, o Object, base change.Rev, reason string) bool {
	return g.end(r, o, base, 0, reason)
}

func (g *Group) end(r *Resource, o Object, base change.Rev, grace int64, reason string) bool {
	held := len(o.GetFinalizers()) > 0
	if d := r.Deletion; d != nil && d.Held != nil {
		held = held || d.Held(o)
	}
	if grace == 0 && !held {
		g.Drop(change.Record{Key: r.Key(o.GetNamespace(), o.GetName()), Rev: base}, reason)
		return true
	}
	if o.GetDeletionTimestamp() != nil {
		return false
	}
	when := metav1.NewTime(g.at.Add(time.Duration(grace) * time.Second).Truncate(time.Second))
	o.SetDeletionTimestamp(&when)
	o.SetDeletionGracePeriodSeconds(&grace)
	if n := o.GetGeneration(); n > 0 {
		o.SetGeneration(n + 1)
	}
	if d := r.Deletion; d != nil && d.Begin != nil {
		d.Begin(o)
	}
	g.Put(r, o, base, reason)
	return true
}

// Record adds the Event of an occurrence, at most once a group.
func (g *Group) Record(o Occurrence) {
	// What happens together has an order, too; see eventUID.
	write, err := RecordEvent(g.view, o, g.at.Add(time.Duration(len(g.changes))*time.Microsecond))
	if err != nil {
		g.broken = true
		return
	}
	for _, c := range g.changes {
		if c.Key == write.Key {
			return
		}
	}
	g.changes = append(g.changes, write)
}
