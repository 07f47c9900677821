package pod_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
	"github.com/skerry-edge/skerry/protocol/clock"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

const uid = "00000000-0000-0000-0000-000000000001"

// world is the smallest surrounding that one pod's machine can live in: a list of containers and what is
// under way. Whatever it does is written to a trace.
type world struct {
	t      *testing.T
	memory *pod.Memory
	desire *corev1.Pod
	now    clock.Now
	boot   string

	containers []engine.Container
	network    bool
	doing      []pod.Action
	configErr  error
	volumes    []pod.Volume
	volumeErr  error
	mounted    bool
	probeErr   map[pod.ProbeType]error
	pullErr    map[string]error // by image
	startErr   map[string]error // by container
	last       pod.Decision
	trace      []string
}

func newWorld(t *testing.T, p *corev1.Pod) *world {
	return &world{t: t, memory: &pod.Memory{}, desire: p, boot: "boot-1",
		now:     clock.Now{Wall: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Boot: time.Hour},
		pullErr: map[string]error{}, startErr: map[string]error{}, probeErr: map[pod.ProbeType]error{}}
}

// newPod is a pod with containers named by its arguments; "init:x" is an initial one, "side:x" a sidecar.
func newPod(policy corev1.RestartPolicy, names ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid, Namespace: "default", Name: "web"}, Spec: corev1.PodSpec{RestartPolicy: policy}}
	always := corev1.ContainerRestartPolicyAlways
	for _, name := range names {
		kind, short, found := strings.Cut(name, ":")
		if !found {
			kind, short = "", name
		}
		c := corev1.Container{Name: short, Image: short + ":1"}
		switch kind {
		case "init":
			p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		case "side":
			c.RestartPolicy = &always
			p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		default:
			p.Spec.Containers = append(p.Spec.Containers, c)
		}
	}
	return p
}

func (w *world) situation() pod.Situation {
	return pod.Situation{UID: uid, Pod: w.desire, Containers: w.containers, HasNetwork: w.network, Doing: w.doing, Boot: w.boot,
		Build: func(c *corev1.Container, attempt int, _ pod.Network) (engine.Spec, []pod.SubPath, error) {
			if w.configErr != nil {
				return engine.Spec{}, nil, w.configErr
			}
			return engine.Spec{ID: shared.ContainerID(uid, c.Name, attempt), Image: c.Image, Labels: map[string]string{
				engine.LabelPodUID: uid, engine.LabelContainer: c.Name, engine.LabelAttempt: strconv.Itoa(attempt),
				engine.LabelSpecHash: shared.SpecHash(c),
			}}, nil, nil
		},
		Volumes: func() ([]pod.Volume, error) { return w.volumes, w.volumeErr }, HasVolumes: w.mounted}
}

// decide asks the machine once and takes its actions as under way.
func (w *world) decide() {
	w.t.Helper()
	w.last = w.memory.Decide(w.situation(), w.now)
	for _, a := range w.last.Actions {
		w.note(a.String())
		w.doing = append(w.doing, a)
	}
	for _, e := range w.last.Events {
		if e.Warning || e.Reason == "BackOff" {
			w.note("event " + e.Reason + ": " + e.Message)
		}
	}
	if again := w.memory.Decide(w.situation(), w.now); len(again.Actions) > 0 {
		w.t.Errorf("deciding again asks for %v", again.Actions)
	}
}

// settle decides and carries out until there is nothing to do.
func (w *world) settle() *world {
	w.t.Helper()
	for range 100 {
		w.decide()
		if len(w.doing) == 0 {
			return w
		}
		for _, a := range slices.Clone(w.doing) {
			w.finish(a)
		}
	}
	w.t.Fatalf("no end to it:\n%s", strings.Join(w.trace, "\n"))
	return w
}

// finish carries out an action that is under way.
func (w *world) finish(a pod.Action) {
	i := slices.IndexFunc(w.doing, func(b pod.Action) bool { return b.Key() == a.Key() })
	if i < 0 {
		return
	}
	w.doing = slices.Delete(w.doing, i, i+1)
	var r pod.Result
	switch a.Kind {
	case pod.Prepare:
		w.network = true
		r.NetPath = "/net"
	case pod.Mount:
		w.mounted = true
	case pod.Unmount:
		w.mounted = false
	case pod.Probe:
		r.Err = w.probeErr[a.Probe]
	case pod.Release:
		w.network = false
	case pod.Pull:
		r.Err, r.Digest = w.pullErr[a.Image], "sha256:"+a.Image
	case pod.Start:
		if r.Err = w.startErr[a.Container]; r.Err == nil {
			w.containers = append(w.containers, engine.Container{ID: a.ID, Labels: a.Spec.Labels, Image: a.Spec.Image, State: engine.Running, StartedAt: w.now.Wall})
			w.checkAlive()
		}
	case pod.Stop:
		w.exit(a.ID, 143)
	case pod.Remove:
		w.containers = slices.DeleteFunc(w.containers, func(c engine.Container) bool { return c.ID == a.ID })
	case pod.Cancel:
		w.doing = slices.DeleteFunc(w.doing, func(b pod.Action) bool { return b.Key() == a.Target })
		return
	}
	w.memory.Done(a, r, w.now)
}

// checkAlive is the machine's first promise.
func (w *world) checkAlive() {
	w.t.Helper()
	alive := map[string]int{}
	for _, c := range w.containers {
		if c.State == engine.Running {
			alive[c.Labels[engine.LabelContainer]]++
		}
	}
	for name, n := range alive {
		if n > 1 {
			w.t.Fatalf("%d attempts of %s run at once:\n%s", n, name, strings.Join(w.trace, "\n"))
		}
	}
}

func (w *world) exit(id string, code int) {
	for i := range w.containers {
		if c := &w.containers[i]; c.ID == id && c.State == engine.Running {
			c.State, c.ExitCode, c.FinishedAt = engine.Exited, code, w.now.Wall
		}
	}
}

// ends makes the running attempt of a container end.
func (w *world) ends(name string, code int) *world {
	w.note(fmt.Sprintf("-- %s ends with %d", name, code))
	for _, c := range w.containers {
		if c.Labels[engine.LabelContainer] == name {
			w.exit(c.ID, code)
		}
	}
	return w
}

func (w *world) pass(d time.Duration) *world {
	w.note("-- " + d.String() + " later")
	w.now = w.now.Add(d)
	return w
}

// agentRestarts keeps only what the disk keeps.
func (w *world) agentRestarts() *world {
	w.note("-- the agent restarts")
	w.keepRecord()
	return w
}

func (w *world) keepRecord() {
	rec, err := pod.DecodeRecord(pod.EncodeRecord(w.memory.Record))
	if err != nil {
		w.t.Fatal(err)
	}
	w.memory, w.doing = &pod.Memory{Record: rec}, nil
}

func (w *world) reboots() *world {
	w.note("-- the machine reboots")
	w.keepRecord()
	w.boot += "+"
	w.network = false
	w.now.Boot = time.Second
	for i := range w.containers {
		if w.containers[i].State == engine.Running {
			w.containers[i].State = engine.Lost
		}
	}
	return w
}

func (w *world) note(line string) { w.trace = append(w.trace, line) }

// shows notes the pod's status in one line.
func (w *world) shows() *world {
	var b strings.Builder
	st := w.last.Status
	fmt.Fprintf(&b, "== %s", st.Phase)
	for _, c := range append(slices.Clone(st.InitContainerStatuses), st.ContainerStatuses...) {
		fmt.Fprintf(&b, " %s/%d=", c.Name, c.RestartCount)
		switch {
		case c.State.Running != nil:
			b.WriteString("Running")
		case c.State.Terminated != nil:
			fmt.Fprintf(&b, "%s(%d)", c.State.Terminated.Reason, c.State.Terminated.ExitCode)
		case c.State.Waiting != nil:
			b.WriteString(c.State.Waiting.Reason)
		}
		if l := c.LastTerminationState.Terminated; l != nil {
			fmt.Fprintf(&b, "[last %s(%d)]", l.Reason, l.ExitCode)
		}
		if c.Ready {
			b.WriteString("+")
		}
	}
	if w.last.Gone {
		b.WriteString(" gone")
	}
	w.note(b.String())
	return w
}

func (w *world) deleted(grace int64) *world {
	w.note(fmt.Sprintf("-- the pod is deleted with %d s", grace))
	p := w.desire.DeepCopy()
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: w.now.Wall}, &grace
	w.desire = p
	return w
}

var errRegistry = errors.New("the registry does not answer")

var errProbe = errors.New("it is not well")
