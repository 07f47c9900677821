package reconcile

import (
	"errors"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

// follow is the place in the history of one kind, for all planners that watch it.
type follow struct {
	kind     change.Kind
	planners []*planner
	cursor   store.Cursor
	// ahead is an event that was taken from the cursor and not yet shown to the planners; it has a revision
	// if there is one.
	ahead change.Event
}

// start opens the watches and resets all planners. It reports false when the store does not let it.
func (r *Runner) start() bool {
	for _, f := range r.follows {
		if !r.reopen(f) {
			return false
		}
	}
	view := r.config.Store.View()
	for _, p := range r.planners {
		r.reset(p, view)
	}
	r.started = true
	return true
}

func (r *Runner) stop() {
	for _, f := range r.follows {
		if f.cursor != nil {
			f.cursor.Close()
		}
	}
}

// reopen starts the watch of a kind where the store is now.
func (r *Runner) reopen(f *follow) bool {
	if f.cursor != nil {
		f.cursor.Close()
		f.cursor = nil
	}
	f.ahead = change.Event{}
	for {
		cursor, err := r.config.Store.Watch(f.kind, r.config.Store.View().Rev(), r.ring)
		if errors.Is(err, store.ErrCompacted) {
			continue // the store has gone on meanwhile, by more than the history holds
		}
		if err != nil {
			r.config.Logger.Error().Err(err).Str("kind", string(f.kind)).Msg("the state can't be watched")
			return false
		}
		f.cursor = cursor
		return true
	}
}

func (r *Runner) reset(p *planner, view change.View) {
	p.Reset(view)
	p.dirty, p.at = true, view.Rev()
	r.metrics.resets.WithLabelValues(p.Name()).Inc()
}

// sync returns the newest view, with the planners' projections brought up to exactly that: not less, for they
// would plan the same again, and not more, for they would plan with what the view doesn't have.
func (r *Runner) sync() (view change.View, ok bool) {
	for {
		view := r.config.Store.View()
		lost, err := r.feed(view.Rev())
		switch {
		case err != nil:
			if !errors.Is(err, store.ErrClosed) { // after a close there is nothing to do, and the wiring knows
				r.config.Logger.Error().Err(err).Msg("the state can't be watched")
			}
			return nil, false
		case lost == nil:
			return view, true
		}
		// The history was too short: start that kind again, and rebuild what depends on it.
		if !r.reopen(lost) {
			return nil, false
		}
		view = r.config.Store.View()
		for _, p := range lost.planners {
			r.reset(p, view)
		}
	}
}

// feed shows the planners all writes up to a revision, in the order of revisions. It returns the kind whose
// cursor fell behind, if one did.
func (r *Runner) feed(upTo change.Rev) (lost *follow, err error) {
	for {
		var first *follow
		for _, f := range r.follows {
			if f.ahead.Rev == 0 {
				e, ok, err := f.cursor.Next()
				if errors.Is(err, store.ErrCompacted) {
					return f, nil
				}
				if err != nil {
					return nil, err
				}
				if !ok {
					continue
				}
				f.ahead = e
			}
			if f.ahead.Rev <= upTo && (first == nil || f.ahead.Rev < first.ahead.Rev) {
				first = f
			}
		}
		if first == nil {
			return nil, nil
		}
		for _, p := range first.planners {
			if first.ahead.Rev > p.at {
				p.Observe(first.ahead)
				p.dirty = true
			}
		}
		first.ahead = change.Event{}
	}
}
