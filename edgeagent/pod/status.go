package pod

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// pullGlance is how long the first failure of a pull is shown as such before it becomes a back-off.
const pullGlance = 2 * time.Second

// backOff shows why a container waits, and tells it once.
func (m *Memory) backOff(name, reason, message, event string) {
	mem := m.container(name)
	if mem.waiting == reason && mem.message == message {
		return
	}
	mem.waiting, mem.message = reason, message
	if event == "" {
		m.say(name, true, "Failed", "Error: "+message)
		return
	}
	m.say(name, true, "BackOff", event)
}

// pullBackOff shows that a pull waits for its next try.
func (d *decider) pullBackOff(v view, r retry) {
	mem := d.container(v.spec.Name)
	if mem.waiting != "ErrImagePull" || d.wait(r.last, pullGlance) {
		return // other reasons say more than a back-off would
	}
	mem.waiting = "ImagePullBackOff"
	mem.message = fmt.Sprintf("Back-off pulling image %q: %s", v.spec.Image, mem.message)
	d.say(v.spec.Name, false, "BackOff", fmt.Sprintf("Back-off pulling image %q", v.spec.Image))
}

func (m *Memory) fullName() string {
	return m.pod.Name + "_" + m.pod.Namespace + "(" + string(m.pod.UID) + ")"
}

// status is what is reported of the pod.
func (m *Memory) status(s Situation, views []view, now clock.Now) corev1.PodStatus {
	spec := &m.pod.Spec
	st := corev1.PodStatus{QOSClass: shared.QOS(spec), HostIP: s.HostIP}
	if s.HostIP != "" {
		st.HostIPs = []corev1.HostIP{{IP: s.HostIP}}
	}
	if m.Record.Started != 0 {
		st.StartTime = &metav1.Time{Time: time.Unix(m.Record.Started, 0)}
	}
	switch {
	case spec.HostNetwork:
		st.PodIP = s.HostIP
	case m.net != nil:
		st.PodIP = m.net.IP
	default:
		st.PodIP = s.IP // of a pod that an agent before has started
	}
	if st.PodIP != "" {
		st.PodIPs = []corev1.PodIP{{IP: st.PodIP}}
	}
	held := "" // the initial container that the regular ones wait for
	for _, v := range views {
		if v.role != regular && held == "" && (v.state == "" || v.role == initial && (v.exit == nil || v.exit.Code != 0) || v.role == sidecar && v.state == engine.Running && !m.up(v)) {
			held = v.spec.Name
		}
		cs := m.containerStatus(v, held != "" && held != v.spec.Name)
		if v.role == regular {
			st.ContainerStatuses = append(st.ContainerStatuses, cs)
		} else {
			st.InitContainerStatuses = append(st.InitContainerStatuses, cs)
		}
	}
	st.Phase = shared.Phase(spec, st.InitContainerStatuses, st.ContainerStatuses)
	before, since := m.conditions, now.Wall
	if before == nil {
		before, since = m.firstConditions(), m.since(s, now)
	}
	m.conditions = shared.Conditions(spec, &st, before, metav1.Time{Time: time.Unix(since.Unix(), 0)})
	st.Conditions = append([]corev1.PodCondition(nil), m.conditions...)
	return st
}

// firstConditions are what the first report of this run of the agent builds on: what the master says, and that
// the pod has been here since it started.
func (m *Memory) firstConditions() []corev1.PodCondition {
	started := metav1.Time{Time: time.Unix(m.Record.Started, 0)}
	before := []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: started},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: started},
	}
	for _, c := range m.pod.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			before[0] = c
		}
	}
	return before
}

// since is when the pod most likely became what it is: for the first report of an agent that has been
// restarted, so that it repeats the last one of the agent before.
func (m *Memory) since(s Situation, now clock.Now) time.Time {
	latest := time.Unix(m.Record.Started, 0)
	if m.Record.Started == 0 {
		latest = now.Wall
	}
	for _, c := range s.Containers {
		for _, t := range []time.Time{c.StartedAt, c.FinishedAt} {
			if t.After(latest) {
				latest = t
			}
		}
	}
	return latest
}

func (m *Memory) containerStatus(v view, held bool) corev1.ContainerStatus {
	rec, mem := m.record(v.spec.Name), m.container(v.spec.Name)
	cs := corev1.ContainerStatus{Name: v.spec.Name, Image: v.spec.Image, ImageID: mem.imageID, RestartCount: int32(v.attempt)}
	running, up := v.state == engine.Running, m.up(v)
	cs.Started = &up
	if v.listed != nil {
		cs.Image, cs.ImageID, cs.ContainerID = v.listed.Image, v.listed.ImageID, "containerd://"+v.listed.ID
	}
	last := rec.Last
	switch {
	case running:
		cs.Ready = v.role != initial && m.ready(v)
		cs.State.Running = &corev1.ContainerStateRunning{}
		if v.listed != nil {
			cs.State.Running.StartedAt = metav1.Time{Time: v.listed.StartedAt.Truncate(time.Second)}
		}
	case v.ended() && mem.waiting == "" && !(held && v.role == regular):
		cs.Ready = v.role == initial && v.exit.Code == 0
		cs.State.Terminated = terminated(v.exit, cs.ContainerID)
	default:
		cs.State.Waiting = &corev1.ContainerStateWaiting{Reason: mem.waiting, Message: mem.message}
		switch {
		case held:
			cs.State.Waiting = &corev1.ContainerStateWaiting{Reason: "PodInitializing"}
		case mem.waiting == "":
			cs.State.Waiting.Reason = "ContainerCreating"
			cs.State.Waiting.Message = m.netProblem
		}
		if rec.Exit != nil {
			last = rec.Exit
		}
	}
	if last != nil {
		id := ""
		if n := v.attempt - 1; last == rec.Last && rec.Ran && n >= 0 {
			id = "containerd://" + shared.ContainerID(string(m.pod.UID), v.spec.Name, n)
		} else {
			id = cs.ContainerID
		}
		cs.LastTerminationState.Terminated = terminated(last, id)
	}
	return cs
}

func terminated(e *Exit, id string) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{ExitCode: int32(e.Code), Reason: e.Reason, Message: e.Message, ContainerID: id}
	if e.Started != 0 {
		t.StartedAt = metav1.Time{Time: time.Unix(e.Started, 0)}
	}
	if e.Finished != 0 {
		t.FinishedAt = metav1.Time{Time: time.Unix(e.Finished, 0)}
	}
	return t
}
