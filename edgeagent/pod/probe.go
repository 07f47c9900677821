package pod

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// ProbeType is what a probe is for.
type ProbeType string

// The types of probe, in Kubernetes' words.
const (
	Startup   ProbeType = "Startup"
	Liveness  ProbeType = "Liveness"
	Readiness ProbeType = "Readiness"
)

// Call is a question to a container, or a hook: exactly one of the first four is set.
type Call struct {
	Exec  []string
	HTTP  *corev1.HTTPGetAction // its port is a number
	TCP   *corev1.TCPSocketAction
	Sleep *time.Duration

	Timeout time.Duration // of a probe
	Host    string        // where to call if HTTP or TCP name no host
}

// probeMemory is what is remembered of one probe of one attempt.
type probeMemory struct {
	of        int       // 1 + the attempt
	last      clock.Now // when it was last asked for
	asked     bool
	successes int // in a row
	failures  int // in a row
}

// callOf makes a call of a handler; the names of ports become numbers. It is nil when there is nothing to call.
func (m *Memory) callOf(c *corev1.Container, exec *corev1.ExecAction, get *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction, sleep *corev1.SleepAction) *Call {
	call := &Call{Host: m.address}
	switch {
	case exec != nil:
		call.Exec = exec.Command
	case get != nil:
		call.HTTP = get.DeepCopy()
		call.HTTP.Port = portOf(c, get.Port)
	case tcp != nil:
		call.TCP = tcp.DeepCopy()
		call.TCP.Port = portOf(c, tcp.Port)
	case sleep != nil:
		d := time.Duration(sleep.Seconds) * time.Second
		call.Sleep = &d
	default:
		return nil
	}
	return call
}

// portOf is the number of a port; 0 when the container names no such port.
func portOf(c *corev1.Container, port intstr.IntOrString) intstr.IntOrString {
	if port.Type == intstr.Int {
		return port
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return intstr.FromInt32(p.ContainerPort)
		}
	}
	return intstr.FromInt32(0)
}

func (m *Memory) hook(c *corev1.Container, h *corev1.LifecycleHandler) *Call {
	if h == nil {
		return nil
	}
	return m.callOf(c, h.Exec, h.HTTPGet, nil, h.Sleep)
}

func (m *Memory) preStop(c *corev1.Container) *Call {
	if c == nil || c.Lifecycle == nil {
		return nil
	}
	return m.hook(c, c.Lifecycle.PreStop)
}

func (m *Memory) postStart(c *corev1.Container) *Call {
	if c.Lifecycle == nil {
		return nil
	}
	return m.hook(c, c.Lifecycle.PostStart)
}

// addressOf is where a pod is called: at its address, or its node's.
func (m *Memory) addressOf(s Situation) string {
	switch {
	case m.net != nil && m.net.IP != "":
		return m.net.IP
	case s.IP != "":
		return s.IP
	case s.HostIP != "" && m.pod != nil && m.pod.Spec.HostNetwork:
		return s.HostIP
	}
	return "127.0.0.1"
}

// spec is the container of that name; nil when the pod has none.
func (m *Memory) spec(name string) *corev1.Container {
	if m.pod == nil {
		return nil
	}
	for _, list := range [][]corev1.Container{m.pod.Spec.InitContainers, m.pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// up reports whether a container runs and its startup probe has passed.
func (m *Memory) up(v view) bool {
	return v.state == engine.Running && (v.spec.StartupProbe == nil || m.record(v.spec.Name).Up)
}

// ready reports whether a running container says that it is ready.
func (m *Memory) ready(v view) bool {
	return m.up(v) && (v.spec.ReadinessProbe == nil || m.record(v.spec.Name).Ready)
}

// probe asks a running container what it is time to ask, and ends it when it has failed for too long. The startup
// probe holds back the other two.
func (d *decider) probe(v view) {
	if v.role == initial || v.listed == nil || v.state != engine.Running {
		return
	}
	if busy(d.s, func(a Action) bool { return a.Kind == Stop && a.ID == v.listed.ID }) {
		return
	}
	if !d.up(v) {
		d.ask(v, Startup, v.spec.StartupProbe)
		return
	}
	d.ask(v, Liveness, v.spec.LivenessProbe)
	d.ask(v, Readiness, v.spec.ReadinessProbe)
}

func (d *decider) ask(v view, kind ProbeType, p *corev1.Probe) {
	if p == nil {
		return
	}
	mem := d.container(v.spec.Name)
	state := mem.probe(kind, v.attempt)
	if kind != Readiness && state.failures >= int(max(p.FailureThreshold, 1)) {
		d.condemn(v, kind, p)
		return
	}
	if state.asked {
		if d.wait(state.last, seconds(max(p.PeriodSeconds, 1))) {
			return
		}
	} else if d.wait(mem.runningSince, seconds(p.InitialDelaySeconds)) {
		return
	}
	call := d.callOf(v.spec, p.Exec, p.HTTPGet, p.TCPSocket, nil)
	if call == nil {
		return
	}
	call.Timeout = seconds(max(p.TimeoutSeconds, 1))
	if d.do(Action{Kind: Probe, Container: v.spec.Name, Attempt: v.attempt, ID: v.listed.ID, Probe: kind, Call: call, Reason: "it is time"}) {
		state.asked, state.last = true, d.now
	}
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// condemn ends a container that does not answer as it should. What follows is restartPolicy's to say, whatever
// its exit code.
func (d *decider) condemn(v view, kind ProbeType, p *corev1.Probe) {
	grace := graceOf(d.pod)
	if p.TerminationGracePeriodSeconds != nil {
		grace = time.Duration(*p.TerminationGracePeriodSeconds) * time.Second
	}
	word := map[ProbeType]string{Startup: "startup", Liveness: "liveness"}[kind]
	text := "Container " + v.spec.Name + " failed " + word + " probe"
	if d.pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		text += ", will be restarted"
	}
	if d.endOne(v.spec.Name, *v.listed, d.now.Add(grace), "it failed its "+word+" probe") {
		d.container(v.spec.Name).condemned = v.attempt + 1
		d.say(v.spec.Name, false, "Killing", text)
	}
}

// probe is what is remembered of a probe of an attempt; another attempt begins anew.
func (c *containerMemory) probe(kind ProbeType, attempt int) *probeMemory {
	if c.probes == nil {
		c.probes = map[ProbeType]*probeMemory{}
	}
	p := c.probes[kind]
	if p == nil || p.of != attempt+1 {
		p = &probeMemory{of: attempt + 1}
		c.probes[kind] = p
	}
	return p
}

// probeDone takes note of an answer. An event tells the first failure in a row and the one that counts, not each:
// links are thin.
func (m *Memory) probeDone(a Action, err error) {
	c, rec := m.spec(a.Container), m.record(a.Container)
	if c == nil || rec.Attempt != a.Attempt || errors.Is(err, engine.ErrNotFound) { // the last: it has ended meanwhile
		return
	}
	p := map[ProbeType]*corev1.Probe{Startup: c.StartupProbe, Liveness: c.LivenessProbe, Readiness: c.ReadinessProbe}[a.Probe]
	if p == nil {
		return
	}
	state := m.container(a.Container).probe(a.Probe, a.Attempt)
	if err == nil {
		state.successes, state.failures = state.successes+1, 0
		if state.successes >= int(max(p.SuccessThreshold, 1)) {
			rec.Up = rec.Up || a.Probe == Startup
			rec.Ready = rec.Ready || a.Probe == Readiness
		}
	} else {
		state.successes, state.failures = 0, state.failures+1
		limit := int(max(p.FailureThreshold, 1))
		if state.failures == 1 || state.failures == limit {
			m.say(a.Container, true, "Unhealthy", string(a.Probe)+" probe failed: "+err.Error())
		}
		if a.Probe == Readiness && state.failures >= limit {
			rec.Ready = false
		}
	}
	m.setRecord(a.Container, rec)
}
