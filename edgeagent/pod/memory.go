package pod

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Memory is one pod's machine: what it remembers between two decisions. The zero value is a pod never seen
// before; its Record may be filled in from the disk.
type Memory struct {
	Record Record

	pod        *corev1.Pod // as last desired
	containers map[string]*containerMemory
	mounted    *[32]byte // digest of the volumes as mounted; nil: not in this run of the agent
	mountError string    // as last told
	address    string    // where the pod is called
	net        *Network  // prepared; nil: not in this run of the agent
	netProblem string    // why not; empty: not tried, or it is
	logsGone   bool
	ending     bool
	endSince   clock.Now // when the pod was first seen to end
	retries    map[string]retry
	conditions []corev1.PodCondition
	events     []Event
}

// containerMemory is what is remembered of one container in this run of the agent.
type containerMemory struct {
	runningOf    int       // 1 + the attempt that was seen running …
	runningSince clock.Now // … first then
	endOf        int       // 1 + the attempt whose end was seen …
	endSeen      clock.Now // … first then
	replaced     int       // 1 + the attempt that was stopped because its spec had changed
	halted       int       // 1 + the attempt that was stopped because its permit had ended
	condemned    int       // 1 + the attempt that was stopped because a probe had failed
	hooked       int       // 1 + the attempt whose preStop hook has been called
	probes       map[ProbeType]*probeMemory
	pulled       int // 1 + the attempt for which the image has been made present
	imageID      string
	waiting      string // reason of the waiting state; empty: none to give
	message      string
}

// retry says since when something fails, and how often.
type retry struct {
	failures int
	last     clock.Now
}

// Network is a pod's prepared network.
type Network struct {
	Path string // of the namespace to join; empty: the engine's own
	IP   string // empty: none
}

// Situation is what a decision is made from.
type Situation struct {
	UID        string
	Pod        *corev1.Pod        // nil: not desired here
	Containers []engine.Container // those of the pod, as listed
	HasNetwork bool               // a network of the pod is listed
	HasVolumes bool               // volumes of the pod are listed
	IP         string             // the pod's address in it; empty: none
	Doing      []Action           // under way for the pod
	Boot       string             // boot id of the machine; empty: unknown
	HostIP     string             // the node's address; empty: unknown
	Permit     Permit
	// Build makes the engine's spec of one attempt. Its errors are the user's to mend: a ConfigMap that is
	// missing, for instance. It is pure.
	Build func(c *corev1.Container, attempt int, net Network) (engine.Spec, []SubPath, error)
	// Volumes are the pod's volumes with their contents, likewise. Its errors quote no contents.
	Volumes func() ([]Volume, error)
}

// Decision is what a pod's machine says.
type Decision struct {
	Actions []Action // may be carried out side by side
	Status  corev1.PodStatus
	Gone    bool // not desired, or deleted, and nothing is left
	Events  []Event
	Next    clock.Now // when to decide again if nothing happens
}

func (m *Memory) container(name string) *containerMemory {
	if m.containers == nil {
		m.containers = map[string]*containerMemory{}
	}
	c := m.containers[name]
	if c == nil {
		c = &containerMemory{}
		m.containers[name] = c
	}
	return c
}

func (m *Memory) record(name string) ContainerRecord { return m.Record.Containers[name] }

func (m *Memory) setRecord(name string, r ContainerRecord) {
	if m.Record.Containers == nil {
		m.Record.Containers = map[string]ContainerRecord{}
	}
	m.Record.Containers[name] = r
}

// say notes an event.
func (m *Memory) say(container string, warning bool, reason, message string) {
	m.events = append(m.events, Event{Container: container, Warning: warning, Reason: reason, Message: message})
}

// fail notes that something failed, and clears it when it did not.
func (m *Memory) fail(key string, failed bool, now clock.Now) {
	if !failed {
		delete(m.retries, key)
		return
	}
	if m.retries == nil {
		m.retries = map[string]retry{}
	}
	m.retries[key] = retry{failures: m.retries[key].failures + 1, last: now}
}

func busy(s Situation, match func(Action) bool) bool { return slices.ContainsFunc(s.Doing, match) }

// Name is the pod's namespace and name; empty when it was never desired in this run of the agent.
func (m *Memory) Name() (namespace, name string) {
	if m.pod == nil {
		return "", ""
	}
	return m.pod.Namespace, m.pod.Name
}
