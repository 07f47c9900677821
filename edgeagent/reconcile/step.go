package reconcile

import (
	"maps"
	"slices"

	"github.com/skerry-edge/skerry/edgeagent/plan"
	"github.com/skerry-edge/skerry/edgeagent/pod"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Step does all that is due and says when to call again if nothing happens.
func (r *Reconciler) Step(now clock.Now) (next clock.Now) {
	in, fresh := r.gather(now)
	if fresh {
		p := plan.Make(in, now)
		r.do(p, now)
	}
	return clock.Earliest(r.nextPlan, r.followPermits(now), r.list.next(now))
}

// gather takes in what has happened and asks for a new listing if that is needed. fresh is false while nothing
// has been listed yet.
func (r *Reconciler) gather(now clock.Now) (in plan.Input, fresh bool) {
	r.mu.Lock()
	accepted, ended, listings := r.accepted, r.finished, r.listed
	r.accepted, r.finished, r.listed = nil, nil, nil
	r.mu.Unlock()

	if accepted != nil {
		r.accept(*accepted)
	}
	for _, f := range ended {
		r.end(f, now)
	}
	for hint, ok := r.hints.Next(); ok; hint, ok = r.hints.Next() {
		r.seq++
		r.list.wanted = true
		r.list.retry = r.list.retry && hint != "" // the engine is back: no need to wait
	}
	r.gatherPermits(now)
	for _, l := range listings {
		r.takeListing(l, now)
	}
	if r.list.due(now) {
		r.beginListing(now)
	}
	if r.listing == nil {
		r.nextPlan = clock.Never
		return plan.Input{}, false
	}
	in = plan.Input{
		Desired: r.desired, Containers: r.listing.containers, Networks: r.listing.networks, Volumes: r.listing.volumes,
		Memories: r.memories, Skip: map[string]bool{}, Node: r.cfg.Node(),
		Permit: r.planPermits(),
	}
	for uid, seq := range r.touched {
		if seq > r.listing.seq {
			in.Skip[uid] = true
		} else {
			delete(r.touched, uid)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.doing)) {
		in.Doing = append(in.Doing, r.doing[key].action)
		if c := r.doing[key].cancelled; c != nil {
			in.Doing = append(in.Doing, *c)
		}
	}
	return in, true
}

// accept replaces the desired state, and forgets pods that are gone and not asked for any more.
func (r *Reconciler) accept(content message.Content) {
	desired, err := plan.Decode(content)
	if err != nil {
		r.cfg.Log.Error().Err(err).Msg("the desired state can't be read; the one before stays in force")
		return
	}
	r.desired = desired
	if desired.Subnet.IsValid() {
		r.subnet = desired.Subnet
	}
	wanted := map[string]bool{}
	for _, p := range desired.Pods {
		wanted[string(p.UID)] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.statuses {
		if s.Gone && !wanted[s.UID] {
			delete(r.memories, s.UID)
		}
	}
}

// end takes note of an action that has been carried out.
func (r *Reconciler) end(f finished, now clock.Now) {
	if r.callHook(&f) {
		return
	}
	delete(r.doing, f.action.Key())
	r.metrics.ended(f.action.Kind, f.result)
	if f.action.Kind != pod.Probe { // which changes nothing on the node
		r.seq++
		r.touched[f.action.PodUID] = r.seq
		r.list.wanted = true
	}
	if m := r.memories[f.action.PodUID]; m != nil {
		m.Done(f.action, f.result, now)
	}
	if f.result.Err != nil && f.action.Kind != pod.Probe {
		r.cfg.Log.Warn().Err(f.result.Err).Str("pod", f.action.PodUID).Str("action", f.action.String()).Msg("an action failed")
	}
}

// do keeps what must be remembered, publishes what is to be told, and hands the actions to the executor.
func (r *Reconciler) do(p plan.Plan, now clock.Now) {
	r.nextPlan = p.Next
	r.keepRecords(p)
	r.publish(p, now)
	for _, a := range p.Actions {
		r.submit(a)
	}
}

// keepRecords writes the records that have changed. A disk that fails must not stop the pods: it costs restart
// counts after the next restart of the agent.
func (r *Reconciler) keepRecords(p plan.Plan) {
	changed := map[string][]byte{}
	for _, s := range p.Pods {
		var data []byte
		if !s.Gone {
			data = pod.EncodeRecord(r.memories[s.UID].Record)
		}
		if string(data) != r.records[s.UID] {
			changed[s.UID] = data
		}
	}
	for uid := range r.records {
		if r.memories[uid] == nil {
			changed[uid] = nil
		}
	}
	if len(changed) == 0 {
		return
	}
	if err := r.cfg.Disk.KeepRecords(changed); err != nil {
		r.cfg.Log.Error().Err(err).Msg("restart counts can't be kept")
		return
	}
	for uid, data := range changed {
		if data == nil {
			delete(r.records, uid)
		} else {
			r.records[uid] = string(data)
		}
	}
}
