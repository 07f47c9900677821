package fake

import (
	"slices"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// maxHints bounds what waits for one reader; beyond it one hint stands for all.
const maxHints = 256

// hints is one reader's queue.
type hints struct {
	engine *Engine
	wake   func()
	ids    []string
	fresh  bool // wake is due
}

// Events implements engine.Engine.
func (e *Engine) Events(wake func()) engine.Hints {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := &hints{engine: e, wake: wake}
	e.hints = append(e.hints, h)
	return h
}

// hint notes that something happened to a container. The caller holds the lock and wakes later.
func (e *Engine) hint(id string) {
	if e.away {
		return
	}
	for _, h := range e.hints {
		if len(h.ids) >= maxHints {
			h.ids = []string{""}
		}
		if !slices.Contains(h.ids, id) {
			h.ids = append(h.ids, id)
		}
		h.fresh = true
	}
}

// unlockAndWake ends a call: readers are woken without the lock, for they may come straight back.
func (e *Engine) unlockAndWake() {
	var wakes []func()
	for _, h := range e.hints {
		if h.fresh {
			h.fresh = false
			wakes = append(wakes, h.wake)
		}
	}
	e.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

// Next implements engine.Hints.
func (h *hints) Next() (string, bool) {
	h.engine.mu.Lock()
	defer h.engine.mu.Unlock()
	if len(h.ids) == 0 {
		return "", false
	}
	id := h.ids[0]
	h.ids = h.ids[1:]
	return id, true
}

// Close implements engine.Hints.
func (h *hints) Close() {
	h.engine.mu.Lock()
	defer h.engine.mu.Unlock()
	h.engine.hints = slices.DeleteFunc(h.engine.hints, func(o *hints) bool { return o == h })
}
