package containerd

import (
	"context"
	"sync"
)

// turns lets one caller at a time in for each name. The zero value is ready.
type turns struct {
	mu    sync.Mutex
	names map[string]*queue
}

type queue struct {
	slot  chan struct{}
	users int
}

// take waits for the turn; done gives it back. It fails only when ctx ends first.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	t.mu.Lock()
	if t.names == nil {
		t.names = map[string]*queue{}
	}
	q := t.names[name]
	if q == nil {
		q = &queue{slot: make(chan struct{}, 1)}
		t.names[name] = q
	}
	q.users++
	t.mu.Unlock()

	leave := func() {
		t.mu.Lock()
		if q.users--; q.users == 0 {
			delete(t.names, name)
		}
		t.mu.Unlock()
	}
	select {
	case q.slot <- struct{}{}:
		return func() { <-q.slot; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
