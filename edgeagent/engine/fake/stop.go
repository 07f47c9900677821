package fake

import (
	"context"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// killed is the exit code of a process that SIGKILL ended.
const killed = 137

// Stop implements engine.Engine.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	c, wait, err := e.stop(ctx, id, grace)
	if err != nil || c == nil {
		return err
	}
	if e.cfg.Sleep != nil {
		return e.cfg.Sleep(ctx, wait)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		e.Kill(id, killed)
		return nil
	}
}

// stop sends the stop signal. In virtual time the kill is dated ahead; otherwise Stop waits for it, for its
// context may end first.
func (e *Engine) stop(ctx context.Context, id string, grace time.Duration) (*container, time.Duration, error) {
	e.mu.Lock()
	defer e.unlockAndWake()
	if err := e.begin(ctx, Stop); err != nil {
		return nil, 0, err
	}
	c := e.containers[id]
	if c == nil {
		return nil, 0, nil
	}
	c.starting = false // a process that is not there yet never comes
	if c.state != engine.Running {
		return nil, 0, nil
	}
	e.counts.Stops++
	now := e.cfg.Now()
	heeds := !c.behaviour.Ignores && grace > 0 && c.behaviour.StopAfter <= grace
	switch {
	case heeds:
		c.endBy(now.Boot+c.behaviour.StopAfter, c.behaviour.StopCode)
	case e.cfg.Sleep != nil || grace == 0:
		c.endBy(now.Boot+grace, killed)
	}
	e.settle()
	return c, max(0, c.endAt-now.Boot), nil
}

// endBy makes the process end then, unless it ends before.
func (c *container) endBy(boot time.Duration, code int) {
	if boot < c.endAt {
		c.endAt, c.code, c.oom = boot, code, false
	}
}
