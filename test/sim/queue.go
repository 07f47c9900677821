package sim

import "time"

// event is something that is to happen.
type event struct {
	at  time.Duration
	seq uint64 // orders what happens at the same time
	do  func()
}

// queue is a heap of events.
type queue []event

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	return q[i].seq < q[j].seq
}

// Push is heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(event)) }

// Pop is heap.Interface.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
