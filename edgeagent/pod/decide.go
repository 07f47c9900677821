package pod

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// defaultGrace is Kubernetes' terminationGracePeriodSeconds of a pod that names none.
const defaultGrace = 30 * time.Second

// Decide says what to do for the pod now, and what to report. The listing in s must be newer than the end of
// every action that is not in s.Doing any more.
func (m *Memory) Decide(s Situation, now clock.Now) Decision {
	if s.Pod != nil {
		m.pod = s.Pod
	}
	m.address = m.addressOf(s)
	listed := byName(s.Containers)
	d := &decider{Memory: m, s: s, now: now, out: Decision{Next: clock.Never}}
	var views []view
	if m.pod != nil {
		m.observe(&m.pod.Spec, listed, now)
		m.rebooted(&m.pod.Spec, s.Boot)
		views = m.views(&m.pod.Spec, s, listed)
	}
	ending := s.Pod == nil || s.Pod.DeletionTimestamp != nil
	switch {
	case ending || m.ending:
		d.end(views)
	case m.over(&m.pod.Spec, views):
		d.finish(views)
	case d.displaced(), d.needsPermit() && now.Reached(d.permitEnd()):
		d.halt(views)
	default:
		if m.Record.Started == 0 {
			m.Record.Started = now.Wall.Unix()
		}
		d.run(views)
	}
	if d.afresh {
		*m = Memory{pod: s.Pod, events: m.events}
		return m.Decide(s, now)
	}
	if !m.ending {
		d.tidy(views, listed)
	}
	if d.needsPermit() && d.permitEnd() != (clock.Now{}) && !now.Reached(d.permitEnd()) {
		d.out.Next = clock.Earliest(d.out.Next, d.permitEnd())
	}
	if m.pod != nil {
		d.out.Status = m.status(s, views, now)
	}
	d.out.Events, m.events = m.events, nil
	return d.out
}

// decider is one decision in the making.
type decider struct {
	*Memory
	s   Situation
	now clock.Now
	out Decision

	afresh bool // the pod has ended and may begin again
}

// do asks for an action, unless it is under way or waits after a failure; it reports whether it asked.
func (d *decider) do(a Action) bool {
	a.PodUID = d.s.UID
	if busy(d.s, func(b Action) bool { return b.Key() == a.Key() }) {
		return false
	}
	if r, failed := d.retries[a.Key()]; failed && d.wait(r.last, quickRetry(r.failures)) {
		return false
	}
	d.out.Actions = append(d.out.Actions, a)
	return true
}

// wait reports whether less than delay has passed since a moment, and if so comes back when it has.
func (d *decider) wait(since clock.Now, delay time.Duration) bool {
	until := since.Add(delay)
	if d.now.Reached(until) {
		return false
	}
	d.out.Next = clock.Earliest(d.out.Next, d.now.Add(until.Since(d.now)))
	return true
}

// quickRetry is the delay for what the user can't see and can't mend: 1 s, doubling up to 1 min.
func quickRetry(failures int) time.Duration {
	return min(time.Second<<min(failures-1, 6), time.Minute)
}

// run brings the pod nearer to all its containers running.
func (d *decider) run(views []view) {
	mounted := d.mount()
	for _, v := range views {
		d.replace(v)
		d.probe(v)
	}
	if !mounted {
		return // the pod is ContainerCreating until its volumes are there
	}
	chain := busy(d.s, func(a Action) bool { return a.Kind == Prepare || a.Kind == Pull || a.Kind == Start })
	for _, v := range d.due(views) {
		if action, ok := d.advance(v); ok && !chain && d.do(action) {
			chain = true // the containers of a pod start one after the other
		}
	}
}

// replace ends a container that is not what the spec says any more.
func (d *decider) replace(v view) {
	if v.listed == nil || v.listed.Labels[engine.LabelSpecHash] == shared.SpecHash(v.spec) {
		return
	}
	switch v.state {
	case engine.Running:
		if d.stop(v.spec.Name, *v.listed, d.now.Add(graceOf(d.pod)), "its image has been changed") {
			d.container(v.spec.Name).replaced = v.attempt + 1
		}
	case engine.Created:
		if !v.doing {
			d.do(Action{Kind: Remove, Container: v.spec.Name, Attempt: v.attempt, ID: v.listed.ID, Reason: "created, but its image has been changed since"})
		}
	}
}

// due are the containers that are to be started, in order, as far as the order lets them.
func (d *decider) due(views []view) []view {
	running := slices.ContainsFunc(views, func(v view) bool { return v.role == regular && v.state == engine.Running })
	var out []view
	for _, v := range views {
		wanted := v.state == "" || v.state == engine.Created || v.ended() && d.again(d.pod.Spec.RestartPolicy, v)
		if v.role == initial && running {
			continue // it was done, whatever is left of it
		}
		if wanted {
			out = append(out, v)
		}
		if v.role != regular && !running && (wanted || v.role == initial && v.state == engine.Running || v.role == sidecar && !d.up(v)) {
			break
		}
	}
	return out
}

// advance is the next step towards a container that runs: restart delay, network, image, start.
func (d *decider) advance(v view) (Action, bool) {
	name, mem := v.spec.Name, d.container(v.spec.Name)
	for _, o := range v.others {
		if o.State == engine.Running {
			d.stop(name, o, d.now.Add(graceOf(d.pod)), "a newer attempt has taken its place")
			return Action{}, false
		}
	}
	if v.doing {
		return Action{}, false
	}
	attempt, why := v.attempt, "never started"
	switch v.state {
	case engine.Exited:
		if mem.halted == v.attempt+1 {
			attempt, why = v.attempt+1, "it was ended with its permit"
			break
		}
		if mem.replaced == v.attempt+1 {
			attempt, why = v.attempt+1, "its image has been changed"
			break
		}
		if delay := shared.RestartDelay(d.record(name).Ends); d.wait(mem.endSeen, delay) {
			d.backOff(name, "CrashLoopBackOff", "back-off "+delay.String()+" restarting failed container="+name+" pod="+d.fullName(),
				"Back-off restarting failed container "+name+" in pod "+d.fullName())
			return Action{}, false
		}
		attempt, why = v.attempt+1, "ended with exit code "+itoa(v.exit.Code)
	case engine.Lost:
		attempt, why = v.attempt+1, "ended without an exit code"
	case engine.Created:
		why = "created, but not started"
	}
	if d.net == nil {
		return Action{Kind: Prepare, Host: d.pod.Spec.HostNetwork, Ports: hostPorts(&d.pod.Spec), Reason: "for " + name}, true
	}
	a := Action{PodUID: d.s.UID, Container: name, Attempt: attempt, Reason: why}
	policy := shared.PullPolicy(v.spec)
	if policy != corev1.PullNever && mem.pulled != attempt+1 {
		a.Kind, a.Image = Pull, v.spec.Image
		// After a power cut there may be no registry; what ran before is good enough.
		a.Always = policy == corev1.PullAlways && v.state != engine.Lost
		if r := d.retries[imageKey(name)]; d.wait(r.last, shared.RetryDelay(r.failures)) {
			d.pullBackOff(v, r)
			return Action{}, false
		}
		return a, true
	}
	if r := d.retries[startKey(name)]; d.wait(r.last, shared.RetryDelay(r.failures)) {
		return Action{}, false
	}
	if may, _ := d.mayStart(); !may {
		d.showWaiting(v)
		return Action{}, false
	}
	spec, subPaths, err := d.s.Build(v.spec, attempt, *d.net)
	if err != nil {
		d.backOff(name, "CreateContainerConfigError", err.Error(), "")
		return Action{}, false
	}
	a.Kind, a.ID, a.Spec, a.SubPaths = Start, spec.ID, &spec, subPaths
	a.Call, a.Grace = d.postStart(v.spec), graceOf(d.pod)
	if d.needsPermit() {
		a.Before = d.s.Permit.Until
	}
	return a, true
}

// hostPorts are the ports of the host that lead to the pod.
func hostPorts(spec *corev1.PodSpec) (out []corev1.ContainerPort) {
	if spec.HostNetwork {
		return nil
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, c := range list {
			for _, p := range c.Ports {
				if p.HostPort > 0 {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

func imageKey(container string) string { return "image of " + container }
func startKey(container string) string { return "start of " + container }

// tidy removes what is over: of each container the newest attempt stays, and the last that has ended before
// it, for `kubectl logs --previous`.
func (d *decider) tidy(views []view, listed map[string][]engine.Container) {
	for _, v := range views {
		delete(listed, v.spec.Name)
		for i, o := range v.others {
			if o.State == engine.Running || v.doing || i == len(v.others)-1 && o.State != engine.Created {
				continue
			}
			d.do(Action{Kind: Remove, Container: v.spec.Name, Attempt: attemptOf(o), ID: o.ID, Reason: "older than the last that has ended"})
		}
	}
	for _, name := range sortedKeys(listed) {
		for _, c := range listed[name] {
			d.discard(name, c, d.now.Add(graceOf(d.pod)), "the pod has no such container")
		}
	}
}

// discard ends a container and then removes it.
func (d *decider) discard(name string, c engine.Container, deadline clock.Now, why string) {
	if c.State == engine.Running {
		d.stop(name, c, deadline, why)
		return
	}
	d.do(Action{Kind: Remove, Container: name, Attempt: attemptOf(c), ID: c.ID, Reason: why})
}

// stop ends a container by a deadline; it reports whether that was asked for now.
func (d *decider) stop(name string, c engine.Container, deadline clock.Now, why string) bool {
	asked := d.endOne(name, c, deadline, why)
	if asked {
		d.say(name, false, "Killing", "Stopping container "+name)
	}
	return asked
}

// endOne ends one container, after its preStop hook, without a word. A hook is called once.
func (d *decider) endOne(name string, c engine.Container, deadline clock.Now, why string) bool {
	a := Action{Kind: Stop, Container: name, Attempt: attemptOf(c), ID: c.ID, Deadline: deadline, Reason: why}
	if d.container(name).hooked != a.Attempt+1 && !d.now.Reached(deadline) {
		a.Call = d.preStop(d.spec(name))
	}
	asked := d.do(a)
	if asked && a.Call != nil {
		d.container(name).hooked = a.Attempt + 1
	}
	return asked
}
