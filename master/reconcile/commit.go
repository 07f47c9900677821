package reconcile

import (
	"context"
	"errors"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// maxMerged is how many groups are tried in one commit.
const maxMerged = 64

// commit commits the groups of a plan, and reports whether anything was written or conflicted.
//
// Groups that fit together go in one commit, for the sake of one fsync. Only when that fails each is committed
// by itself, so that one conflict costs one group.
func (r *Runner) commit(ctx context.Context, p *planner, groups [][]change.Change, now clock.Now) (more bool) {
	for len(groups) > 0 {
		n := mergeable(groups)
		merged := groups[:n]
		groups = groups[n:]
		if n > 1 {
			var all []change.Change
			for _, g := range merged {
				all = append(all, g...)
			}
			if rev, err := r.config.Store.Commit(ctx, all); err == nil {
				for _, g := range merged {
					r.report(p, g, rev, nil)
				}
				more = true
				continue
			}
		}
		for _, g := range merged {
			if len(g) == 0 {
				continue
			}
			rev, err := r.config.Store.Commit(ctx, g)
			r.report(p, g, rev, err)
			switch {
			case err == nil:
				more = true
			case errors.Is(err, store.ErrConflict):
				p.dirty, more = true, true // the next plan is made from what is there now
			default:
				r.failed(p, err, now)
				return more // the rest would fare no better
			}
		}
	}
	p.retry = 0
	return more
}

// mergeable is how many of the first groups touch different objects and can so be one commit.
func mergeable(groups [][]change.Change) int {
	seen := map[change.Key]bool{}
	for n, g := range groups {
		if n == maxMerged {
			return n
		}
		for _, c := range g {
			if seen[c.Key] {
				return max(n, 1)
			}
		}
		for _, c := range g {
			seen[c.Key] = true
		}
	}
	return len(groups)
}

// failed makes a planner wait before it plans again.
func (r *Runner) failed(p *planner, err error, now clock.Now) {
	p.dirty = true
	p.retry = min(max(2*p.retry, firstRetry), lastRetry)
	p.held = now.Add(p.retry)
	r.config.Logger.Error().Err(err).Str("planner", p.Name()).Dur("retry", p.retry).Msg("a plan could not be committed")
}

func (r *Runner) report(p *planner, group []change.Change, rev change.Rev, err error) {
	result := "written"
	switch {
	case errors.Is(err, store.ErrConflict):
		result = "conflict"
	case err != nil:
		result = "failed"
	}
	r.metrics.groups.WithLabelValues(p.Name(), result).Inc()
	r.config.Observe(Outcome{Planner: p.Name(), Changes: group, Rev: rev, Err: err})
	for _, c := range group {
		r.config.Logger.Debug().Str("planner", p.Name()).Stringer("object", c.Key).Bool("delete", c.Deletes()).
			Str("reason", c.Reason).Str("result", result).Stringer("rev", rev).Msg("planned")
	}
}
