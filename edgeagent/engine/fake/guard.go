package fake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// guardedGroup is the cgroup of the containers that the guard ends, as package plan has it.
const guardedGroup = "stop/"

// Guard is the machine's guard: it ends the containers of the guarded group, also those that start later, once its
// deadline has passed, whether or not there is an agent. A reboot ends it. It implements what the agent's control loop
// wants of one, in the engine's time.
type Guard struct {
	e        *Engine
	armed    bool
	deadline time.Duration
	away     bool
	crashed  bool
	back     time.Duration // when the newest process of it began, after a crash
}

// Guard is the machine's.
func (e *Engine) Guard() *Guard { return e.guard }

// errGuardAway is what every call says while the guard is away.
var errGuardAway = errors.New("the guard does not answer")

// SetAway lets calls fail. What was armed stays so.
func (g *Guard) SetAway(away bool) {
	g.e.mu.Lock()
	defer g.e.mu.Unlock()
	g.away = away
}

// Crash ends the guard's process: calls fail and nothing is ended until Restart.
func (g *Guard) Crash() {
	g.e.mu.Lock()
	defer g.e.unlockAndWake()
	g.e.settle()
	g.crashed = true
}

// Restart begins another process of the guard, which goes on with the deadline that the one before had kept below /run,
// unless it forgets it.
func (g *Guard) Restart(forgets bool) {
	g.e.mu.Lock()
	defer g.e.unlockAndWake()
	if !g.crashed {
		return // the machine has been rebooted meanwhile
	}
	g.crashed, g.back = false, g.e.cfg.Now().Boot
	g.armed = g.armed && !forgets
	g.e.settle()
}

// Arm sets the deadline.
func (g *Guard) Arm(_ context.Context, deadline time.Duration) error {
	g.e.mu.Lock()
	defer g.e.unlockAndWake()
	g.e.settle()
	switch now := g.e.cfg.Now(); {
	case g.away || g.crashed:
		return errGuardAway
	case now.Boot >= deadline:
		return fmt.Errorf("arm the guard: %s is in the past", deadline)
	}
	g.armed, g.deadline = true, deadline
	g.e.settle()
	return nil
}

// Disarm takes the deadline back.
func (g *Guard) Disarm(context.Context) error {
	g.e.mu.Lock()
	defer g.e.unlockAndWake()
	g.e.settle()
	if g.away || g.crashed {
		return errGuardAway
	}
	for id, c := range g.e.containers {
		if c.guarded() && (c.state == engine.Running || c.starting) {
			return fmt.Errorf("disarm the guard: container %s runs", id)
		}
	}
	g.armed = false
	return nil
}

// Armed is the deadline in force.
func (g *Guard) Armed(context.Context) (time.Duration, bool, error) {
	g.e.mu.Lock()
	defer g.e.mu.Unlock()
	if g.away || g.crashed {
		return 0, false, errGuardAway
	}
	return g.deadline, g.armed, nil
}

// State is what Armed says, also while the guard does not answer: for whoever looks on.
func (g *Guard) State() (deadline time.Duration, armed bool) {
	g.e.mu.Lock()
	defer g.e.mu.Unlock()
	return g.deadline, g.armed
}

func (c *container) guarded() bool { return strings.HasPrefix(c.spec.Cgroup, guardedGroup) }

// end is when a running container ends by itself or by the guard. The caller holds the lock.
func (e *Engine) end(c *container) time.Duration {
	if e.guard.armed && !e.guard.crashed && c.guarded() {
		return min(c.endAt, max(c.startAt, e.guard.deadline, e.guard.back))
	}
	return c.endAt
}
