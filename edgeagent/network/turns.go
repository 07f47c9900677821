package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// turns let one at a time work on a pod.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // closed when it is over
}

func (t *turns) take(ctx context.Context, uid string) (done func(), err error) {
	for {
		t.mu.Lock()
		before := t.busy[uid]
		if before == nil {
			mine := make(chan struct{})
			if t.busy == nil {
				t.busy = map[string]chan struct{}{}
			}
			t.busy[uid] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.busy, uid)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lockRetry is how often the lock is tried while the plugins of an agent before still run.
const lockRetry = 20 * time.Millisecond

// enter begins work on a pod.
func (n *Network) enter(ctx context.Context, uid string) (done func(), err error) {
	if done, err = n.turns.take(ctx, uid); err != nil {
		return nil, err
	}
	for {
		err := n.begin(ctx)
		if err == nil {
			return done, nil
		}
		if !errors.Is(err, errBusy) {
			done()
			return nil, err
		}
		select {
		case <-time.After(lockRetry):
		case <-ctx.Done():
			done()
			return nil, err
		}
	}
}

// errBusy says that the machine's networks are not ours yet.
var errBusy = errors.New("a CNI plugin that was started by an agent before has not ended")

// begin makes sure that no plugin runs any more that an agent before has started: each holds the lock, which it
// inherits, as long as it lives. Once that is so it tidies up behind that agent.
func (n *Network) begin(ctx context.Context) error {
	n.mu.Lock()
	begun := n.lock != nil
	n.mu.Unlock()
	if begun {
		return nil
	}
	n.beginning.Lock()
	defer n.beginning.Unlock()
	if n.lock != nil {
		return nil
	}
	file, err := os.OpenFile(filepath.Join(n.config.Dir, "network.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock pods' networks: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return errBusy
		}
		return fmt.Errorf("lock pods' networks: %w", err)
	}
	if err := n.sweep(ctx); err != nil {
		file.Close()
		return err
	}
	n.mu.Lock()
	n.lock = file
	n.mu.Unlock()
	return nil
}
