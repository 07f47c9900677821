package fake

import (
	"maps"
	"slices"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// Call names a method of the engine, for faults and errors.
type Call string

// The calls.
const (
	List   Call = "list"
	Pull   Call = "pull"
	Start  Call = "start"
	Stop   Call = "stop"
	Remove Call = "remove"
	Exec   Call = "exec"
	Usage  Call = "usage"
)

// Fail makes the next calls of one kind come to these errors, one each, without any effect.
func (e *Engine) Fail(call Call, errs ...error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[call] = append(e.faults[call], errs...)
}

// SetAway makes the engine answer nothing but ErrAway, as when containerd is stopped; containers go on. What
// happens meanwhile is not hinted at one by one: its return is one hint that means everything.
func (e *Engine) SetAway(away bool) {
	e.mu.Lock()
	defer e.unlockAndWake()
	e.settle()
	if e.away && !away {
		for _, h := range e.hints {
			h.ids = nil
		}
		e.away = false
		e.hint("")
	}
	e.away = away
}

// SetRegistry says whether the registry answers.
func (e *Engine) SetRegistry(up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.offline = !up
}

// SetImage changes what the registry has under a name.
func (e *Engine) SetImage(name string, i Image) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.registry[name] = i
}

// RemoveImage deletes a present image behind the agent's back.
func (e *Engine) RemoveImage(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.present, name)
}

// Kill ends a running container from outside with an exit code.
func (e *Engine) Kill(id string, code int) {
	e.mu.Lock()
	defer e.unlockAndWake()
	e.settle()
	if c := e.containers[id]; c != nil && c.state == engine.Running {
		c.endBy(e.cfg.Now().Boot, code)
		e.settle()
	}
}

// Reboot is a power cut: what ran is Lost, what had been created only stays so, exit codes and images are
// kept. The boot clock may start again from zero. Callers are gone, and so are their hints.
func (e *Engine) Reboot() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settle()
	e.guard.armed, e.guard.crashed, e.guard.back = false, false, 0
	for _, id := range slices.Sorted(maps.Keys(e.containers)) {
		c := e.containers[id]
		c.starting = false
		if c.state == engine.Running {
			c.state, c.endAt = engine.Lost, never
			close(c.ended)
		}
	}
	e.hints = nil
}

// Containers is what List returns, also while the engine is away: for whoever looks on.
func (e *Engine) Containers() []engine.Container {
	e.mu.Lock()
	defer e.unlockAndWake()
	e.settle()
	return e.listed()
}

// Counts returns the calls that did something.
func (e *Engine) Counts() Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counts
}
