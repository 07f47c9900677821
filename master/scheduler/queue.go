package scheduler

import (
	"github.com/tidwall/btree"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// pending is a pod that has no node yet.
type pending struct {
	key     change.Key
	uid     types.UID
	created int64 // Unix seconds
	owner   uint32
	where   uint32 // where its search begins
	needs   *requirement
	told    string    // what its PodScheduled condition says
	again   clock.Now // when it may be told something else
}

// queue holds the pending pods: those to be tried, oldest first, and those that wait for the cluster to change.
type queue struct {
	all     map[change.Key]*pending
	active  *btree.BTreeG[*pending]
	waiting map[change.Key]*pending
}

func newQueue() *queue {
	return &queue{
		all:     map[change.Key]*pending{},
		active:  btree.NewBTreeGOptions(older, btree.Options{NoLocks: true}),
		waiting: map[change.Key]*pending{},
	}
}

func older(a, b *pending) bool {
	switch {
	case a.created != b.created:
		return a.created < b.created
	case a.key.Namespace != b.key.Namespace:
		return a.key.Namespace < b.key.Namespace
	}
	return a.key.Name < b.key.Name
}

// put makes a pod one to be tried, in place of what was known of it.
func (q *queue) put(p *pending) {
	if before := q.all[p.key]; before != nil && before.uid == p.uid {
		p.again = before.again
	}
	q.remove(p.key)
	q.all[p.key] = p
	q.active.Set(p)
}

func (q *queue) remove(key change.Key) {
	if p := q.all[key]; p != nil {
		delete(q.all, key)
		delete(q.waiting, key)
		q.active.Delete(p)
	}
}

// wait sets a pod aside until wake.
func (q *queue) wait(p *pending) {
	q.active.Delete(p)
	q.waiting[p.key] = p
}

func (q *queue) wake() {
	for _, p := range q.waiting {
		q.active.Set(p)
	}
	clear(q.waiting)
}
