package reconcile

import (
	"context"
	"sync"
)

// Pool is the Executor of a real agent: goroutines, a few at a time in each lane.
type Pool struct {
	ctx    context.Context
	cancel context.CancelFunc
	lanes  map[Lane]chan struct{} // one that is missing has no limit
	group  sync.WaitGroup
}

// maxStops is how many stops may wait for their containers at once; a stop costs next to nothing.
const maxStops = 64

// maxProbes is how many calls may wait for their containers at once.
const maxProbes = 16

// NewPool makes a pool for a machine with so many cores. Close it.
func NewPool(cores int) *Pool {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pool{ctx: ctx, cancel: cancel, lanes: map[Lane]chan struct{}{
		LaneList:  make(chan struct{}, 1),
		LanePull:  make(chan struct{}, min(1+cores/2, 3)),
		LaneStart: make(chan struct{}, 1+cores),
		LaneProbe: make(chan struct{}, maxProbes),
		LaneStop:  make(chan struct{}, maxStops),
	}}
	return p
}

// Submit implements Executor. The number of goroutines that wait is bounded by that of the actions, a few a pod.
func (p *Pool) Submit(lane Lane, work func(ctx context.Context), done func()) func() {
	ctx, cancel := context.WithCancel(p.ctx)
	slots, limited := p.lanes[lane]
	p.group.Go(func() {
		defer cancel()
		defer done()
		if limited {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-ctx.Done():
			}
		}
		if ctx.Err() == nil { // otherwise it was given up while it waited
			work(ctx)
		}
	})
	return cancel
}

// Close gives up all work and waits until it has ended. Containers go on running.
func (p *Pool) Close() {
	p.cancel()
	p.group.Wait()
}
