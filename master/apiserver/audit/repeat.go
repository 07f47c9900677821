package audit

import (
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// repeats remembers what was written of things that may happen very often.
type repeats struct{ seen map[string]*repeat }

type repeat struct {
	written clock.Now
	since   int // repetitions
}

const (
	repeatAfter = 10 * time.Minute
	maxRepeats  = 512
)

// admit reports whether a line is due, and how many were left out before it.
func (r *repeats) admit(key string, now clock.Now) (due bool, left int) {
	if s := r.seen[key]; s != nil {
		if now.Since(s.written) < repeatAfter {
			s.since++
			return false, 0
		}
		left = s.since
		*s = repeat{written: now}
		return true, left
	}
	if len(r.seen) >= maxRepeats {
		for key, s := range r.seen {
			if now.Since(s.written) >= repeatAfter {
				delete(r.seen, key)
			}
		}
	}
	if len(r.seen) >= maxRepeats {
		return false, 0 // a flood of different ones
	}
	r.seen[key] = &repeat{written: now}
	return true, 0
}
