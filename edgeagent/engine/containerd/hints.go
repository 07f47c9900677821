package containerd

import (
	"sync"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// maxHints bounds what a loop that does not pull leaves behind: beyond it the hint is "all of them".
const maxHints = 256

// hintHub hands hints to all who asked for them. The zero value is ready.
type hintHub struct {
	mu    sync.Mutex
	pulls map[*hintQueue]bool
}

// hintQueue is one puller's: each container once, in the order of the first hint.
type hintQueue struct {
	hub  *hintHub
	wake func()
	ids  []string
	seen map[string]bool
}

// Events wakes whoever pulls on the hints.
func (e *Engine) Events(wake func()) engine.Hints {
	q := &hintQueue{hub: &e.hints, wake: wake, seen: map[string]bool{}}
	e.hints.mu.Lock()
	defer e.hints.mu.Unlock()
	if e.hints.pulls == nil {
		e.hints.pulls = map[*hintQueue]bool{}
	}
	e.hints.pulls[q] = true
	return q
}

// all hints at every container.
func (h *hintHub) all() { h.add("") }

// add hints at one container; an empty id is all.
func (h *hintHub) add(id string) {
	h.mu.Lock()
	var wakes []func()
	for q := range h.pulls {
		switch {
		case q.seen[""] || q.seen[id]:
		case id == "" || len(q.ids) >= maxHints:
			q.ids, q.seen = []string{""}, map[string]bool{"": true}
		default:
			q.ids = append(q.ids, id)
			q.seen[id] = true
		}
		wakes = append(wakes, q.wake)
	}
	h.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

// Next returns the next container to look at.
func (q *hintQueue) Next() (string, bool) {
	q.hub.mu.Lock()
	defer q.hub.mu.Unlock()
	if len(q.ids) == 0 {
		return "", false
	}
	id := q.ids[0]
	q.ids = q.ids[1:]
	delete(q.seen, id)
	return id, true
}

// Close ends the hints.
func (q *hintQueue) Close() {
	q.hub.mu.Lock()
	defer q.hub.mu.Unlock()
	delete(q.hub.pulls, q)
}
