package reconcile

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// Guard ends the pods that need a permit when the agent can't: it lives in another process, and has been told when.
// The methods may be repeated and block until done, for a moment.
type Guard interface {
	// Arm has everything in the pods' cgroup ended at a time of the boot clock, unless it is armed again before.
	Arm(ctx context.Context, deadline time.Duration) error
	// Disarm says that nothing is left to guard. It fails while something is.
	Disarm(ctx context.Context) error
	// Armed is the deadline in force; false when there is none.
	Armed(ctx context.Context) (deadline time.Duration, armed bool, err error)
}

// guardPatience bounds one call of the guard, and is how long pods go on after the agent's start while the guard does
// not say until when they may.
const guardPatience = 5 * time.Second

// guardRetry is how soon a guard that has failed is called again.
const guardRetry = 2 * time.Second

// grantNotice is the part of a permit's length that is left when pods are told to end, at most: about when the fourth
// of its heartbeats has been lost.
const grantNotice = 4

// permits is what the node may run of the pods that need a permit.
type permits struct {
	held      pod.Permit        // in force: the guard is armed for it
	grant     *pod.Permit       // the newest of the master's that the guard has not been armed for
	confirmed map[string]bool   // pods that run here alone, as the newest grant names them; nil: there was none in this run
	unsure    bool              // the master may know better since
	calling   bool              // the guard
	armed     bool              // or may be
	asked     bool              // the guard has said what the agent before had armed
	needed    bool              // there are pods that the guard is for, or may be
	again     clock.Now         // when to try once more what failed
	since     clock.Now         // of this run of the agent
	release   map[string]uint64 // pods that the master asks about -> seq of the listing that is new enough
	waiting   map[string]bool   // pods that wait for a permit
	failure   error             // of the guard, as it was last

	// Of the world's way in and out, under the Reconciler's lock.
	in struct {
		grants   []message.Grant
		unsure   bool
		releases [][]string
		answers  []guardAnswer
	}
	out struct {
		asks     bool
		waits    uint64 // changes when another pod begins to wait
		released []string
		failure  error
	}
}

// guardAnswer is what became of a call of the guard.
type guardAnswer struct {
	asked    bool // it was Armed
	armed    *pod.Permit
	disarmed bool
	deadline clock.Now // of Armed; zero: it is not
	err      error
}

// Grant takes in a permit.
func (r *Reconciler) Grant(g message.Grant) {
	r.mu.Lock()
	r.permits.in.grants = append(r.permits.in.grants, g)
	r.mu.Unlock()
	r.Wake()
}

// Unconfirm says that another conversation with a master has begun: it may not know any more, or know better, which pods
// run here alone, and is asked.
func (r *Reconciler) Unconfirm() {
	r.mu.Lock()
	r.permits.in.unsure = true
	r.mu.Unlock()
	r.Wake()
}

// Release asks what has become of pods; TakeReleased has the answer once nothing is left of them.
func (r *Reconciler) Release(pods []string) {
	r.mu.Lock()
	r.permits.in.releases = append(r.permits.in.releases, pods)
	r.mu.Unlock()
	r.Wake()
}

// TakeReleased returns the pods that were asked about, of which nothing is left, and that won't be started again.
func (r *Reconciler) TakeReleased() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.permits.out.released
	r.permits.out.released = nil
	return out
}

// Permits reports whether the node needs a permit, and a number that changes when another pod begins to wait for one.
func (r *Reconciler) Permits() (asks bool, waits uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.permits.out.asks, r.permits.out.waits
}

// GuardError is why the guard could not be armed the last time; nil when it could, or was not needed.
func (r *Reconciler) GuardError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.permits.out.failure
}

// gatherPermits takes in what has been said of permits.
func (r *Reconciler) gatherPermits(now clock.Now) {
	p := &r.permits
	if !p.asked && p.since.Boot == 0 {
		p.since = now
		p.held = pod.Permit{Inherited: true, Until: now.Add(guardPatience)}
	}
	r.mu.Lock()
	grants, releases, answers := p.in.grants, p.in.releases, p.in.answers
	p.unsure = p.unsure || p.in.unsure
	p.in.grants, p.in.releases, p.in.answers, p.in.unsure = nil, nil, nil, false
	r.mu.Unlock()
	for _, a := range answers {
		r.takeAnswer(a, now)
	}
	for _, g := range grants {
		next := newPermit(g)
		p.grant, p.confirmed, p.unsure = &next, setOf(g.Bound), false
		p.narrow()
	}
	for _, pods := range releases {
		for _, uid := range pods {
			p.letGo(uid)
			if p.release == nil {
				p.release = map[string]uint64{}
			}
			if _, asked := p.release[uid]; !asked {
				r.seq++
				p.release[uid] = r.seq
				r.list.wanted = true
			}
		}
	}
}

// narrow takes the right to run from pods that the newest permit does not name, at once: the master may give their slots
// away when the one before has ended, and the guard can't tell them from those that it names.
func (p *permits) narrow() {
	if p.grant == nil {
		return
	}
	named := p.grant.Pods
	if p.held.Inherited {
		if p.asked && p.armed {
			p.held.Pods, p.held.Inherited = maps.Clone(named), false
		}
		return
	}
	held := map[string]bool{}
	for uid := range p.held.Pods {
		if named[uid] {
			held[uid] = true
		}
	}
	p.held.Pods = held
}

// letGo takes the right to start a pod away, before the master is told that it is gone.
func (p *permits) letGo(uid string) {
	delete(p.held.Pods, uid)
	if p.grant != nil {
		delete(p.grant.Pods, uid)
	}
	delete(p.confirmed, uid)
}

func newPermit(g message.Grant) pod.Permit {
	next := pod.Permit{
		Until:  clock.Now{Boot: time.Duration(g.Ask)*time.Millisecond + g.Lasts()},
		Notice: g.Lasts() / grantNotice,
		Pods:   setOf(g.Pods),
	}
	return next
}

func setOf(uids []string) map[string]bool {
	set := map[string]bool{}
	for _, uid := range uids {
		set[uid] = true
	}
	return set
}

// takeAnswer takes in what the guard has said.
func (r *Reconciler) takeAnswer(a guardAnswer, now clock.Now) {
	p := &r.permits
	before := p.failure
	p.calling, p.failure = false, a.err
	switch {
	case a.err != nil && a.asked && !p.needed:
		p.asked, p.failure = true, nil // nobody misses it
	case a.err != nil:
		if before == nil || before.Error() != a.err.Error() {
			r.cfg.Log.Error().Err(a.err).Msg("the guard can't be told until when pods may run; nothing that needs a permit is started")
		}
		p.again = now.Add(guardRetry)
	case a.asked:
		p.asked, p.armed = true, a.deadline.Boot != 0
		if p.held.Inherited {
			p.held.Until = a.deadline // zero: nothing was permitted
			p.narrow()
		}
	case a.armed != nil:
		p.armed, p.held = true, *a.armed
		if p.grant == a.armed {
			p.grant = nil
		}
	case a.disarmed:
		p.armed = false
	}
}

// planPermits puts what the node may run into the memories of its pods, and says what the plan may know of it.
func (r *Reconciler) planPermits() pod.Permit {
	if r.permits.confirmed != nil {
		for uid, m := range r.memories {
			if m.Pinned() {
				m.Record.Bound = r.permits.confirmed[uid]
			}
		}
	}
	for uid := range r.permits.release {
		if m := r.memories[uid]; m != nil {
			m.Record.Bound = false
		}
	}
	held := r.permits.held
	held.Bound = r.permits.confirmed
	if r.permits.failure != nil {
		held.Problem = r.permits.failure.Error()
	}
	return held
}

// followPermits calls the guard where that is due, answers what the master has asked about, and says what the node
// needs. It returns when to look again.
func (r *Reconciler) followPermits(now clock.Now) clock.Now {
	if r.cfg.Guard == nil {
		return clock.Never
	}
	p := &r.permits
	asks, guarded := r.needPermits()
	p.needed = len(asks) > 0 || guarded && r.listing != nil
	waiting := map[string]bool{}
	added := false
	for _, uid := range asks {
		if !p.held.Pods[uid] && !r.bound(uid) {
			waiting[uid] = true
			added = added || !p.waiting[uid]
		}
	}
	p.waiting = waiting
	released := r.takeReleased()
	r.mu.Lock()
	changed := p.out.asks != (len(asks) > 0) || added || len(released) > 0
	p.out.asks = len(asks) > 0
	if added {
		p.out.waits++
	}
	p.out.released = append(p.out.released, released...)
	p.out.failure = p.failure
	r.mu.Unlock()
	if changed {
		r.cfg.Changed()
	}
	return r.callGuard(now, guarded)
}

// callGuard makes the next call of the guard: what it was armed for before this run, the newest grant, or that it is
// not needed any more.
func (r *Reconciler) callGuard(now clock.Now, guarded bool) clock.Now {
	p := &r.permits
	switch {
	case p.calling:
		return clock.Never
	case !now.Reached(p.again):
		return p.again
	case !p.asked:
		r.guard(func(ctx context.Context) (a guardAnswer) {
			deadline, armed, err := r.cfg.Guard.Armed(ctx)
			a = guardAnswer{asked: true, err: err}
			if armed {
				a.deadline.Boot = deadline
			}
			return a
		})
	case p.grant != nil && len(p.grant.Pods) == 0 && !guarded:
		p.held, p.grant = *p.grant, nil // nothing to guard
	case p.grant != nil && now.Reached(p.grant.Until):
		p.grant = nil // it came too late
	case p.grant != nil && r.strangers(p.grant):
		// The guard knows one deadline for all: a later one would let them go on, too. They are being stopped; what can't be
		// stopped ends with all others at the deadline in force.
	case p.grant != nil:
		grant := p.grant
		r.guard(func(ctx context.Context) guardAnswer {
			return guardAnswer{armed: grant, err: r.cfg.Guard.Arm(ctx, grant.Until.Boot)}
		})
	case p.armed && !guarded:
		p.held.Pods, p.held.Inherited = nil, false // nothing starts until it is armed again
		r.guard(func(ctx context.Context) guardAnswer {
			return guardAnswer{disarmed: true, err: r.cfg.Guard.Disarm(ctx)}
		})
	}
	return clock.Never
}

func (r *Reconciler) guard(call func(context.Context) guardAnswer) {
	r.permits.calling = true
	answer := guardAnswer{err: context.Canceled}
	r.cfg.Executor.Submit(LaneGuard, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, guardPatience)
		defer cancel()
		answer = call(ctx)
	}, func() {
		r.mu.Lock()
		r.permits.in.answers = append(r.permits.in.answers, answer)
		r.mu.Unlock()
		r.Wake()
	})
}

// needPermits is the pods that need a permit, sorted, and whether the guard is needed: while something of one is on the
// engine, on its way to it, or may come.
func (r *Reconciler) needPermits() (asks []string, guarded bool) {
	guarded = r.listing == nil
	if r.desired != nil {
		for _, p := range r.desired.Pods {
			uid := string(p.UID)
			over := p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
			switch {
			case !shared.Single(p) || over && !r.onEngine(uid):
			case !shared.Pinned(p):
				asks, guarded = append(asks, uid), true
			case r.permits.unsure || !r.permits.confirmed[uid]:
				asks = append(asks, uid)
			}
		}
	}
	slices.Sort(asks)
	if guarded {
		return asks, true
	}
	for _, w := range r.doing {
		if w.action.Kind == pod.Start && w.action.Before.Boot != 0 {
			return asks, true
		}
	}
	for _, c := range r.listing.containers {
		if c.State == engine.Running && pod.Guarded(c) {
			return asks, true
		}
	}
	return asks, false
}

// strangers reports whether something of the guarded runs, or may, that a permit does not name.
func (r *Reconciler) strangers(permit *pod.Permit) bool {
	if r.listing == nil {
		return true // what runs is not known yet
	}
	for _, w := range r.doing {
		if w.action.Kind == pod.Start && w.action.Before.Boot != 0 && !permit.Pods[w.action.PodUID] {
			return true
		}
	}
	return slices.ContainsFunc(r.listing.containers, func(c engine.Container) bool {
		return c.State == engine.Running && pod.Guarded(c) && !permit.Pods[c.Labels[engine.LabelPodUID]]
	})
}

// onEngine reports whether a container of a pod is there, or on its way.
func (r *Reconciler) onEngine(uid string) bool {
	for _, w := range r.doing {
		if w.action.PodUID == uid && w.action.Kind != pod.Probe {
			return true
		}
	}
	return r.listing == nil || slices.ContainsFunc(r.listing.containers, func(c engine.Container) bool {
		return c.Labels[engine.LabelPodUID] == uid
	})
}

// bound reports whether the master has bound a pod to this node.
func (r *Reconciler) bound(uid string) bool {
	m := r.memories[uid]
	return m != nil && m.Record.Bound
}

// takeReleased is the pods that were asked about and are gone: nothing of them is listed or under way, and the disk
// does not say any more that they may run here.
func (r *Reconciler) takeReleased() (out []string) {
	for _, uid := range slices.Sorted(maps.Keys(r.permits.release)) {
		if r.listing == nil || r.listing.seq < max(r.permits.release[uid], r.touched[uid]) || r.onEngine(uid) {
			continue
		}
		if kept, err := pod.DecodeRecord([]byte(r.records[uid])); r.records[uid] != "" && (err != nil || kept.Bound) {
			continue
		}
		r.permits.letGo(uid)
		delete(r.permits.release, uid)
		out = append(out, uid)
	}
	return out
}
