package fake

import (
	"maps"
	"slices"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// never is the boot time of what does not happen by itself.
var never = clock.Never.Boot

// container is one container; its process is a pair of times.
type container struct {
	spec      engine.Spec
	imageID   string
	behaviour Behaviour
	state     engine.State // as of the last settle
	starting  bool         // Created, and Running from startAt
	pid       int

	startAt, endAt time.Duration // by the boot clock
	code           int           // at endAt
	oom            bool
	started, done  time.Time // wall clock, once it is so
	ended          chan struct{}
}

func (c *container) listed() engine.Container {
	out := engine.Container{
		ID: c.spec.ID, Labels: maps.Clone(c.spec.Labels), Image: c.spec.Image, ImageID: c.imageID,
		State: c.state, StartedAt: c.started, FinishedAt: c.done,
	}
	switch c.state {
	case engine.Running:
		out.PID = c.pid
	case engine.Exited:
		out.ExitCode, out.OOMKilled = c.code, c.oom
	}
	return out
}

// settle carries out what has become due since the last call and notes hints. The caller holds the lock.
func (e *Engine) settle() {
	now := e.cfg.Now()
	wall := func(boot time.Duration) time.Time { return now.Wall.Add(boot - now.Boot) }
	for _, id := range slices.Sorted(maps.Keys(e.containers)) {
		c := e.containers[id]
		if c.starting && now.Boot >= c.startAt {
			c.starting, c.state, c.started = false, engine.Running, wall(c.startAt)
			e.hint(id)
		}
		if end := e.end(c); c.state == engine.Running && now.Boot >= end {
			if end < c.endAt {
				c.endBy(end, 137)
			}
			c.state, c.done = engine.Exited, wall(end)
			close(c.ended)
			e.hint(id)
		}
	}
	if e.cfg.Sleep == nil {
		if e.timer != nil {
			e.timer.Stop()
			e.timer = nil
		}
		if next := e.next(); next != never {
			e.timer = time.AfterFunc(next-now.Boot, e.Tick)
		}
	}
}

// next is the boot time at which a container changes by itself. The caller holds the lock.
func (e *Engine) next() time.Duration {
	first := never
	for _, c := range e.containers {
		if c.starting {
			first = min(first, c.startAt)
		} else if c.state == engine.Running {
			first = min(first, e.end(c))
		}
	}
	return first
}

// Next is when a container changes by itself: in virtual time, call Tick then.
func (e *Engine) Next() clock.Now {
	e.mu.Lock()
	defer e.mu.Unlock()
	first := e.next()
	if first == never {
		return clock.Never
	}
	now := e.cfg.Now()
	return now.Add(first - now.Boot)
}

// Tick carries out what is due and gives the hints.
func (e *Engine) Tick() {
	e.mu.Lock()
	defer e.unlockAndWake()
	e.settle()
}
