package pod

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// lostReason is the kubelet's word for a container that ran and is not there any more.
const lostReason = "ContainerStatusUnknown"

// role is what a container is in its pod.
type role int

const (
	regular role = iota
	initial      // runs to its end before the regular ones start
	sidecar      // an initial one that goes on running
)

// view is one container of the spec as it stands.
type view struct {
	spec    *corev1.Container
	role    role
	attempt int          // the newest; the next one when state is empty
	state   engine.State // of the newest; empty: nothing that counts
	exit    *Exit        // Exited, Lost
	listed  *engine.Container
	others  []engine.Container // earlier attempts that are listed, oldest first
	doing   bool               // an action on it is under way
}

func (v view) ended() bool { return v.state == engine.Exited || v.state == engine.Lost }

func attemptOf(c engine.Container) int {
	n, err := strconv.Atoi(c.Labels[engine.LabelAttempt])
	if err != nil {
		return 0
	}
	return n
}

// byName groups what is listed by container name, oldest attempt first.
func byName(list []engine.Container) map[string][]engine.Container {
	out := map[string][]engine.Container{}
	for _, c := range list {
		name := c.Labels[engine.LabelContainer]
		out[name] = append(out[name], c)
	}
	for _, group := range out {
		slices.SortFunc(group, func(a, b engine.Container) int { return cmp.Compare(attemptOf(a), attemptOf(b)) })
	}
	return out
}

// observe brings the records up to date with what is listed: which attempts have run, and how they ended.
func (m *Memory) observe(spec *corev1.PodSpec, listed map[string][]engine.Container, now clock.Now) {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			name := list[i].Name
			m.setRecord(name, m.observeOne(name, listed[name], now))
		}
	}
}

func (m *Memory) observeOne(name string, group []engine.Container, now clock.Now) ContainerRecord {
	rec, mem := m.record(name), m.container(name)
	vanished := rec.Ran
	for _, c := range group {
		n := attemptOf(c)
		if c.State == engine.Created || rec.Ran && n < rec.Attempt {
			continue
		}
		if !rec.Ran || n > rec.Attempt {
			if rec.Ran {
				rec.Last = rec.Exit
			}
			rec.Ran, rec.Attempt, rec.Exit, rec.Up, rec.Ready = true, n, nil, false, false
		}
		vanished = false
		switch c.State {
		case engine.Running:
			rec.Exit = nil
			mem.waiting, mem.message = "", ""
			if mem.runningOf != n+1 {
				mem.runningOf, mem.runningSince = n+1, now
			}
		case engine.Exited, engine.Lost:
			if rec.Exit != nil {
				break
			}
			rec.Exit = exitOf(c)
			if c.State == engine.Exited {
				rec.Ends = m.countEnd(rec.Ends, mem, n, now)
			}
		}
	}
	if vanished && rec.Exit == nil {
		rec.Exit = lost(nil)
	}
	if rec.Exit != nil && mem.endOf != rec.Attempt+1 {
		mem.endOf, mem.endSeen = rec.Attempt+1, now
	}
	return rec
}

// countEnd is the number of ends in a row after one more.
func (m *Memory) countEnd(ends int, mem *containerMemory, attempt int, now clock.Now) int {
	switch {
	case mem.replaced == attempt+1, mem.halted == attempt+1:
		return 0
	case mem.runningOf == attempt+1 && now.Since(mem.runningSince) >= shared.BackoffReset:
		return 1
	}
	return ends + 1
}

func exitOf(c engine.Container) *Exit {
	if c.State == engine.Lost {
		return lost(&c)
	}
	e := &Exit{Code: c.ExitCode, Reason: "Error", ImageID: c.ImageID, Started: unix(c.StartedAt), Finished: unix(c.FinishedAt)}
	switch {
	case c.OOMKilled:
		e.Reason = "OOMKilled"
	case c.ExitCode == 0:
		e.Reason = "Completed"
	}
	return e
}

func lost(c *engine.Container) *Exit {
	e := &Exit{Code: 137, Reason: lostReason, Message: "The container ended without an exit code: the machine went down, or the container was removed behind the agent's back"}
	if c != nil {
		e.Started, e.ImageID = unix(c.StartedAt), c.ImageID
	}
	return e
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// rebooted forgets what a reboot makes void, once for each boot. The pod's namespaces are new, so its initial
// containers run again, as the kubelet has it for a new sandbox; ends before the reboot delay nothing.
func (m *Memory) rebooted(spec *corev1.PodSpec, boot string) {
	if boot == "" || m.Record.Boot == boot {
		return
	}
	first := m.Record.Boot == ""
	m.Record.Boot = boot
	if first || m.over(spec, m.views(spec, Situation{}, nil)) {
		return
	}
	for name, rec := range m.Record.Containers {
		rec.Ends = 0
		m.Record.Containers[name] = rec
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if rec := m.record(c.Name); rec.Ran && !shared.Sidecar(c) {
			rec.Floor = rec.Attempt + 1
			m.setRecord(c.Name, rec)
		}
	}
}

// views are the containers of the spec as they stand, in the order in which they start.
func (m *Memory) views(spec *corev1.PodSpec, s Situation, listed map[string][]engine.Container) []view {
	var out []view
	add := func(c *corev1.Container, r role) {
		v := view{spec: c, role: r}
		rec := m.record(c.Name)
		group := listed[c.Name]
		if rec.Ran && rec.Attempt >= rec.Floor {
			v.attempt, v.state = rec.Attempt, engine.Running
			if v.exit = rec.Exit; v.exit != nil {
				v.state = engine.Exited
				if v.exit.Reason == lostReason {
					v.state = engine.Lost
				}
			}
		} else {
			v.attempt = rec.Floor
			if rec.Ran {
				v.attempt = max(rec.Floor, rec.Attempt+1)
			}
		}
		for i := range group {
			switch n := attemptOf(group[i]); {
			case n >= v.attempt && group[i].State == engine.Created && v.exit == nil,
				n > v.attempt:
				v.attempt, v.state, v.exit, v.listed = n, group[i].State, nil, &group[i]
			case n == v.attempt:
				v.listed = &group[i]
			}
		}
		for i := range group {
			if v.listed != &group[i] {
				v.others = append(v.others, group[i])
			}
		}
		v.doing = busy(s, func(a Action) bool { return a.Container == c.Name && a.Kind != Probe })
		out = append(out, v)
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if shared.Sidecar(c) {
			add(c, sidecar)
		} else {
			add(c, initial)
		}
	}
	for i := range spec.Containers {
		add(&spec.Containers[i], regular)
	}
	return out
}

// again reports whether a container that has ended is started again.
func (m *Memory) again(policy corev1.RestartPolicy, v view) bool {
	switch {
	case v.role == sidecar, m.container(v.spec.Name).replaced == v.attempt+1:
		return true
	case policy == corev1.RestartPolicyNever:
		return false
	case m.container(v.spec.Name).condemned == v.attempt+1:
		return true
	case v.role == initial, policy == corev1.RestartPolicyOnFailure:
		return v.exit.Code != 0
	}
	return true
}

// over reports whether the pod has run to its end: nothing of it is ever started again.
func (m *Memory) over(spec *corev1.PodSpec, views []view) bool {
	remaining := 0
	for _, v := range views {
		switch ended := v.ended() && !m.again(spec.RestartPolicy, v); {
		case v.role == initial && ended && v.exit.Code != 0:
			return true
		case v.role == regular && !ended:
			remaining++
		}
	}
	return remaining == 0
}
