package reconcile

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/loop"
)

// Config configures a Runner.
type Config struct {
	Store store.Store
	// Planners run in this order: put first who makes work for the others.
	Planners []Planner
	Logger   zerolog.Logger
	Clock    clock.Source // of Run
	// Wake is called when Step has something to do, from any goroutine; it must not block. Run needs none.
	Wake func()
	// Observe is told of every group that was committed or failed to be, for a trace; nil for none.
	Observe func(Outcome)
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Outcome is what became of one group.
type Outcome struct {
	Planner string
	Changes []change.Change
	Rev     change.Rev // of the commit
	Err     error      // nil when it was committed
}

// Limits of the runner.
const (
	// maxRounds is how often everybody is asked for a plan in one Step. The longest chain of planners, from a
	// Deployment to a bound pod, takes six.
	maxRounds = 16
	// minPause and maxPause bound the wait after a Step that did not settle, and between a planner's plans
	// when it asks for one at a time that has passed.
	minPause = 50 * time.Millisecond
	maxPause = time.Second
	// firstRetry and lastRetry bound the wait after a commit that failed.
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Runner runs planners. Step and Run belong to one goroutine.
type Runner struct {
	config   Config
	metrics  metrics
	wake     chan struct{} // one slot
	started  bool
	follows  []*follow // one a kind, in the order in which the planners name them
	planners []*planner
	pause    time.Duration // after Steps that did not settle; 0 when the last did
}

// planner is a Planner and what the runner knows of it.
type planner struct {
	Planner
	dirty bool          // something was observed since the last plan
	due   clock.Now     // when it wants to plan next
	at    change.Rev    // what its projection was last rebuilt from; older events are part of it
	retry time.Duration // the wait after the last failure; 0 when the last plan could be committed
	held  clock.Now     // until when it must not plan, while retry isn't 0
}

// New returns a runner. The first Step reads the whole state.
func New(config Config) (*Runner, error) {
	r := &Runner{config: config, wake: make(chan struct{}, 1)}
	if r.config.Wake == nil {
		r.config.Wake = func() {}
	}
	if r.config.Observe == nil {
		r.config.Observe = func(Outcome) {}
	}
	byKind := map[change.Kind]*follow{}
	for _, p := range config.Planners {
		run := &planner{Planner: p, due: clock.Never}
		r.planners = append(r.planners, run)
		for _, kind := range p.Kinds() {
			f := byKind[kind]
			if f == nil {
				f = &follow{kind: kind}
				byKind[kind] = f
				r.follows = append(r.follows, f)
			}
			f.planners = append(f.planners, run)
		}
	}
	var err error
	r.metrics, err = newMetrics(config.Registerer)
	return r, err
}

// Run calls Step whenever there is something to do, until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	defer r.stop()
	return loop.Run(ctx, r.config.Clock, r.wake, func(now clock.Now) (clock.Now, error) { return r.step(ctx, now), nil })
}

// Step lets every planner see what was written, plan and commit, until nothing is left to do, and says when to
// call again if nothing wakes the runner before.
func (r *Runner) Step(now clock.Now) (next clock.Now) { return r.step(context.Background(), now) }

func (r *Runner) step(ctx context.Context, now clock.Now) clock.Now {
	select {
	case <-r.wake:
	default:
	}
	if !r.started && !r.start() {
		return now.Add(firstRetry)
	}
	for range maxRounds {
		more, ok := r.round(ctx, now)
		if !ok {
			return now.Add(firstRetry)
		}
		if !more {
			r.pause = 0
			return r.next(now)
		}
	}
	if r.pause == 0 {
		r.config.Logger.Warn().Int("rounds", maxRounds).Msg("the planners don't settle: each plan asks for more")
	}
	r.metrics.unsettled.Inc()
	r.pause = min(max(2*r.pause, minPause), maxPause)
	return now.Add(r.pause)
}

// round asks every planner that has a reason to plan, in order, each over the state that the one before it has
// left. It reports whether anything was written or has to be planned again; ok is false when the state can't be
// seen any more.
func (r *Runner) round(ctx context.Context, now clock.Now) (more, ok bool) {
	for _, p := range r.planners {
		view, ok := r.sync()
		if !ok || ctx.Err() != nil {
			return false, false
		}
		if p.retry > 0 && !now.Reached(p.held) || !p.dirty && !now.Reached(p.due) {
			continue
		}
		groups, next := p.Plan(view, now)
		r.metrics.plans.WithLabelValues(p.Name()).Inc()
		if p.dirty, p.due = false, next; now.Reached(next) {
			p.due = now.Add(minPause) // it planned just now
		}
		if r.commit(ctx, p, groups, now) {
			more = true
		}
	}
	return more, true
}

// next is when a planner wants to plan or may try again.
func (r *Runner) next(now clock.Now) clock.Now {
	next := clock.Never
	for _, p := range r.planners {
		switch {
		case p.retry > 0:
			next = clock.Earliest(next, p.held)
		case p.dirty:
			next = now // written by others after the last round
		default:
			next = clock.Earliest(next, p.due)
		}
	}
	return next
}

// Wake makes Run call Step soon.
func (r *Runner) Wake() { r.ring() }

func (r *Runner) ring() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
	r.config.Wake()
}
