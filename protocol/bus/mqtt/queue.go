package mqtt

import "github.com/skerry-edge/skerry/protocol/bus"

// item is one thing to send: a message, or a subscription.
type item struct {
	topic     string
	payload   []byte
	qos       byte
	retain    bool
	subscribe bool
}

// queue is what waits to be sent over the current connection. It is guarded by the bus's mutex.
type queue struct {
	items             []item
	bytes             int
	maxItems, maxSize int
	wake              chan struct{} // one slot
}

func newQueue(maxItems, maxSize int) queue {
	return queue{maxItems: maxItems, maxSize: maxSize, wake: make(chan struct{}, 1)}
}

// push appends, or returns bus.ErrFull.
func (q *queue) push(i item) error {
	if len(q.items) >= q.maxItems || q.bytes+len(i.payload) > q.maxSize {
		return bus.ErrFull
	}
	q.force(i)
	return nil
}

// force appends whatever the limits say.
func (q *queue) force(i item) {
	q.items = append(q.items, i)
	q.bytes += len(i.payload)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop takes the oldest.
func (q *queue) pop() (item, bool) {
	if len(q.items) == 0 {
		return item{}, false
	}
	i := q.items[0]
	q.items[0] = item{}
	q.items = q.items[1:]
	q.bytes -= len(i.payload)
	if len(q.items) == 0 {
		q.items = nil // lets go of the array
	}
	return i, true
}

// clear drops everything and returns how much that was.
func (q *queue) clear() int {
	n := len(q.items)
	q.items, q.bytes = nil, 0
	return n
}
