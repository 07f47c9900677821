package reconcile

import (
	"context"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// An engine that does not answer is asked again after retryFirst, doubling up to retryMax: pods are to run soon
// after it answers.
const (
	retryFirst = 100 * time.Millisecond
	retryMax   = time.Second
	// listTimeout bounds one listing: an engine that hangs is as good as away.
	listTimeout = 30 * time.Second
)

// listing is what there is on the node, at one moment.
type listing struct {
	containers []engine.Container
	networks   map[string]string
	volumes    []string
	seq        uint64 // what had happened when it was begun
}

// listed is a listing that has come in.
type listed struct {
	listing listing
	err     error
}

// lister says when to list.
type lister struct {
	wanted   bool
	underWay bool
	retry    bool // the last one failed; the next waits until at
	failures int
	at       clock.Now // when the next one is due anyhow
}

func (l *lister) due(now clock.Now) bool {
	switch {
	case l.underWay:
		return false
	case l.retry:
		return now.Reached(l.at)
	}
	return l.wanted || now.Reached(l.at)
}

// next is when the lister wants to be asked again.
func (l *lister) next(now clock.Now) clock.Now {
	switch {
	case l.underWay:
		return clock.Never // its end wakes the loop
	case l.wanted && !l.retry:
		return now
	}
	return l.at
}

// beginListing lists everything, aside.
func (r *Reconciler) beginListing(now clock.Now) {
	r.list.wanted, r.list.underWay, r.list.retry = false, true, false
	l := &listed{listing: listing{seq: r.seq}, err: context.Canceled} // until it is carried out
	r.cfg.Executor.Submit(LaneList, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, listTimeout)
		defer cancel()
		if l.listing.containers, l.err = r.cfg.Engine.List(ctx); l.err == nil {
			l.listing.networks, l.err = r.cfg.Network.List(ctx)
		}
		if l.err == nil && r.cfg.Volumes != nil {
			l.listing.volumes, l.err = r.cfg.Volumes.List(ctx)
		}
	}, func() {
		r.mu.Lock()
		r.listed = append(r.listed, *l)
		r.mu.Unlock()
		r.Wake()
	})
}

func (r *Reconciler) takeListing(l listed, now clock.Now) {
	r.list.underWay = false
	before := r.EngineError()
	r.mu.Lock()
	r.engineErr = l.err
	r.mu.Unlock()
	if l.err != nil {
		r.list.failures++
		r.list.wanted, r.list.retry = true, true
		r.list.at = now.Add(min(retryFirst<<min(r.list.failures-1, 10), retryMax))
		if before == nil {
			r.cfg.Log.Error().Err(l.err).Msg("the containers can't be listed; what runs goes on, trying again")
		}
		return
	}
	if before != nil {
		r.cfg.Log.Info().Msg("the containers can be listed again")
	}
	r.list.failures, r.list.at = 0, now.Add(r.cfg.Relist)
	r.listing = &l.listing
}
