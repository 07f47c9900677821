package pod

import (
	"slices"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// Permit is the node's right to run the pods of which there must be at most one anywhere (partition policy stop). The
// zero value permits nothing. A pod that can run on this node only needs none: Record.Bound says that it may run.
type Permit struct {
	Until clock.Now // what is permitted has ended by then
	// Notice is how long before the end a pod is told to end by itself, at most.
	Notice time.Duration
	// Pods may be started. Other ones may not even go on, unless Inherited is set: then it is not known yet what the
	// permit that the agent before had armed is for, and nothing is started.
	Pods      map[string]bool
	Inherited bool
	// Bound are the pods that run on this node alone and that the master's newest grant names; nil: this run of the agent
	// has had none, and what Record.Bound says goes on. One that is left out has lost its place, as after fencing.
	Bound   map[string]bool
	Problem string // why no permit can be put in force; empty: nothing is known against it
}

// WaitingForPermit is the waiting reason of a container whose pod is not permitted to run. Kubernetes has no word for
// it.
const WaitingForPermit = "WaitingForPermit"

// needsPermit reports whether the pod may run only while the master permits it.
func (d *decider) needsPermit() bool {
	return d.pod != nil && shared.Single(d.pod) && !shared.Pinned(d.pod)
}

// displaced reports whether a pod that can run on this node only is not to run here any more, all the same.
func (d *decider) displaced() bool {
	return d.pod != nil && shared.Single(d.pod) && shared.Pinned(d.pod) && d.s.Permit.Bound != nil && !d.s.Permit.Bound[d.s.UID]
}

// ownsGuarded reports whether the pod has a container that only a permit lets run. The pod need not be known, as after the
// loss of the agent's disk.
func (d *decider) ownsGuarded() bool {
	return slices.ContainsFunc(d.s.Containers, Guarded)
}

// Guarded reports whether a container may run only while its pod has a permit.
func Guarded(c engine.Container) bool { return c.Labels[engine.LabelGuarded] == "true" }

// Pinned reports whether the pod must be single and can run on this node only.
func (m *Memory) Pinned() bool { return m.pod != nil && shared.Single(m.pod) && shared.Pinned(m.pod) }

// mayStart reports whether containers of the pod may be started now, and if not why.
func (d *decider) mayStart() (bool, string) {
	switch {
	case d.pod == nil || !shared.Single(d.pod):
		return true, ""
	case shared.Pinned(d.pod):
		return d.Record.Bound, "the master has not permitted yet that this pod runs; there may be another one"
	case d.s.Permit.Pods[d.s.UID] && !d.now.Reached(d.permitEnd()):
		return true, ""
	}
	if d.s.Permit.Problem != "" {
		return false, d.s.Permit.Problem
	}
	return false, "the master has not permitted, or not lately, that this pod runs; there may be another one"
}

// permitEnd is when a pod that needs a permit has to begin to end; the zero time when it has none.
func (d *decider) permitEnd() clock.Now {
	p := d.s.Permit
	if !p.Inherited && !p.Pods[d.s.UID] {
		return clock.Now{}
	}
	return p.Until.Add(-min(graceOf(d.pod), p.Notice))
}

// halt ends the containers of a pod whose permit ends. They begin anew, without back-off, with the next one.
func (d *decider) halt(views []view) {
	until := d.s.Permit.Until
	if d.permitEnd() == (clock.Now{}) || d.displaced() {
		until = d.now // it was taken away
	}
	for _, v := range views {
		if v.state != engine.Running || v.listed == nil {
			continue
		}
		if d.stop(v.spec.Name, *v.listed, until, "its permit ends") {
			why := "the master has not permitted lately that this pod runs here"
			if d.s.Permit.Problem != "" {
				why = d.s.Permit.Problem
			}
			d.say(v.spec.Name, true, "PermitEnded", "Stopping container "+v.spec.Name+": "+why)
		}
		d.container(v.spec.Name).halted = v.attempt + 1
	}
	d.cancelStarts(views)
}

// cancelStarts gives up what would start a container; one that is started all the same ends with the next decision.
func (d *decider) cancelStarts(views []view) {
	for _, a := range d.s.Doing {
		if a.Kind == Start && a.Call != nil {
			d.do(Action{Kind: Cancel, Target: a.Key(), Reason: "the pod's permit ends"})
		}
	}
	for _, v := range d.due(views) {
		d.showWaiting(v)
	}
}

// showWaiting says why a container that should run does not. What is wrong on this node it says with an event too, for
// kubectl describe leaves out a waiting container's message; what the master waits for the master says.
func (d *decider) showWaiting(v view) {
	_, why := d.mayStart()
	mem := d.container(v.spec.Name)
	if why == d.s.Permit.Problem && (mem.waiting != WaitingForPermit || mem.message != why) {
		d.say(v.spec.Name, true, WaitingForPermit, "Can't start container "+v.spec.Name+": "+why)
	}
	mem.waiting, mem.message = WaitingForPermit, why
}
