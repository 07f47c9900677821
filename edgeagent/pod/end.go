package pod

import (
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// graceOf is how long the pod's containers get to end.
func graceOf(p *corev1.Pod) time.Duration {
	switch {
	case p == nil:
		return defaultGrace
	case p.DeletionGracePeriodSeconds != nil:
		return time.Duration(*p.DeletionGracePeriodSeconds) * time.Second
	case p.Spec.TerminationGracePeriodSeconds != nil:
		return time.Duration(*p.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	return defaultGrace
}

// end takes the pod down: what is under way is given up, the containers stop (sidecars after the others, last
// one first), then everything is removed. From the first call on nothing of the pod is started again.
func (d *decider) end(views []view) {
	why := "the pod is deleted"
	switch {
	case d.s.Pod == nil:
		why = "the pod is not desired on this node"
	case d.s.Pod.DeletionTimestamp == nil:
		why = "the pod was not desired on this node a while ago"
	}
	if !d.ending {
		d.ending, d.endSince = true, d.now
	}
	deadline := d.endSince.Add(graceOf(d.pod))
	if d.needsPermit() || d.ownsGuarded() {
		if end := d.permitEnd(); end == (clock.Now{}) {
			deadline = d.endSince
		} else {
			deadline = clock.Earliest(deadline, d.s.Permit.Until)
		}
	}
	d.cancel(deadline, why)
	if !d.stopAll(views, deadline, why) {
		return
	}
	for _, c := range d.s.Containers {
		d.discard(c.Labels[engine.LabelContainer], c, deadline, why)
	}
	if d.releaseAll(why) && len(d.s.Containers) == 0 && len(d.s.Doing) == 0 {
		switch {
		case !d.logsGone:
			d.do(Action{Kind: RemoveLogs, Reason: why})
		case d.s.Pod == nil || d.s.Pod.DeletionTimestamp != nil:
			d.out.Gone = true
		default: // it had vanished from the desired state and is wanted again
			d.afresh = true
		}
	}
}

// cancel gives up what a pod that ends has no use for: pulls, and stops that take longer than is left.
func (d *decider) cancel(deadline clock.Now, why string) {
	for _, a := range d.s.Doing {
		if a.Kind == Pull || a.Kind == Prepare || a.Kind == Probe || a.Kind == Start && a.Call != nil || a.Kind == Stop && a.Deadline.Boot > deadline.Boot {
			d.do(Action{Kind: Cancel, Target: a.Key(), Reason: why})
		}
	}
}

// stopAll stops every process of the pod and reports whether there is none left, nor one on its way.
func (d *decider) stopAll(views []view, deadline clock.Now, why string) bool {
	sidecars := map[string]bool{}
	for _, v := range views {
		if v.role == sidecar {
			sidecars[v.spec.Name] = true
		}
	}
	quiet := !busy(d.s, func(a Action) bool { return a.Kind == Start })
	for _, c := range d.s.Containers {
		if name := c.Labels[engine.LabelContainer]; c.State == engine.Running && !sidecars[name] {
			quiet = false
			d.stop(name, c, deadline, why)
		}
	}
	return quiet && d.stopSidecars(views, deadline, why)
}

// stopSidecars stops the last sidecar that runs, and reports whether there was none.
func (d *decider) stopSidecars(views []view, deadline clock.Now, why string) bool {
	for _, v := range slices.Backward(views) {
		if v.role != sidecar {
			continue
		}
		for _, c := range d.s.Containers {
			if c.Labels[engine.LabelContainer] == v.spec.Name && c.State == engine.Running {
				d.stop(v.spec.Name, c, deadline, why)
				return false
			}
		}
	}
	return true
}

// finish tidies up after a pod that has run to its end; its containers stay, for their logs.
func (d *decider) finish(views []view) {
	deadline := d.now.Add(graceOf(d.pod))
	for _, v := range views {
		if v.role != sidecar && v.state == engine.Running && v.listed != nil {
			d.stop(v.spec.Name, *v.listed, deadline, "the pod has failed")
		}
	}
	if busy(d.s, func(a Action) bool { return a.Kind == Start }) || !d.stopSidecars(views, deadline, "the pod has run to its end") {
		return
	}
	d.releaseAll("the pod has run to its end")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func itoa(n int) string { return strconv.Itoa(n) }
