package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/test/lab"
	"github.com/skerry-edge/skerry/test/pulse"
)

// The permits of the quick intervals, and when they have surely ended for the master.
const (
	quickPermit = 4 * time.Second
	quickEnded  = quickPermit*112/100 + 2*time.Second
	// guardGrace is what the guard may take to end what runs at the deadline.
	guardGrace = 2 * time.Second
)

// trial is a fleet with one workload of each kind, in which something is lost. They run side by side, for they wait
// most of the time.
//
//	keep    a Deployment of one pod
//	one     a Deployment of one pod that must be single
//	bare    a pod that must be single
//	pinned  a pod that must be single and that its creator bound to a node
//
// All but the first write down when they live.
type trial struct {
	*fleet
	api *lab.API
}

// single are the workloads of which at most one may live.
var single = []string{"one", "bare", "pinned"}

// newTrial makes a fleet of count nodes.
func newTrial(t *testing.T, count int, args ...string) *trial {
	t.Helper()
	if args == nil {
		args = quick
	}
	return trialOf(newFleet(t, count, args...))
}

func trialOf(f *fleet) *trial {
	f.Helper()
	api, err := f.master.API()
	if err != nil {
		f.Fatal(err)
	}
	return &trial{f, api}
}

// start runs workloads, all on one node, and waits until they do; the others may take them over afterwards.
func (t *trial) start(node string, names ...string) {
	t.Helper()
	for _, n := range t.nodes {
		if n.Host.Name != node {
			t.kubectl("cordon", n.Host.Name)
		}
	}
	for _, name := range names {
		t.apply(t.manifest(name, node))
	}
	for _, name := range names {
		t.untilRuns(name, node)
	}
	for _, n := range t.nodes {
		if n.Host.Name != node {
			t.kubectl("uncordon", n.Host.Name)
		}
	}
}

// lives is the directory in which a workload writes down when it lives.
func (t *trial) lives(name string) string { return filepath.Join(t.lab.Dir, "lives", name) }

// manifest is a workload's.
func (t *trial) manifest(name, node string) string {
	t.Helper()
	spec := `terminationGracePeriodSeconds: 1, containers: [{name: main, image: "` + probe + `", args: [sleep]}]`
	policy := ""
	if name != "keep" {
		if err := os.MkdirAll(t.lives(name), 0o755); err != nil {
			t.Fatal(err)
		}
		spec = `terminationGracePeriodSeconds: 1, volumes: [{name: lives, hostPath: {path: "` + t.lives(name) + `"}}],
			containers: [{name: main, image: "` + probe + `", args: [pulse, /lives, $(POD_UID)], volumeMounts: [{name: lives, mountPath: /lives}],
			env: [{name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}]}]`
		policy = `annotations: {skerry.dev/partition-policy: stop}, `
	}
	meta := policy + `labels: {app: ` + name + `}`
	switch name {
	case "pinned":
		spec = `nodeName: ` + node + `, ` + spec
		fallthrough
	case "bare":
		return `{apiVersion: v1, kind: Pod, metadata: {name: ` + name + `, ` + meta + `}, spec: {` + spec + `}}`
	}
	return `{apiVersion: apps/v1, kind: Deployment, metadata: {name: ` + name + `}, spec: {replicas: 1,
		strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}, selector: {matchLabels: {app: ` + name + `}},
		template: {metadata: {` + meta + `}, spec: {` + spec + `}}}}`
}

// pods are a workload's, whatever has become of them.
func (t *trial) pods(name string) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	t.until("the API answers", func() (bool, string) {
		var err error
		pods, err = t.api.Pods("app=" + name)
		return err == nil, fmt.Sprint(err)
	})
	return pods
}

// untilRuns waits until a workload has one pod, which runs on a node that the name matches (!node: on any other), and
// lives now if it says so. It returns how long that took.
func (t *trial) untilRuns(name, node string) time.Duration {
	t.Helper()
	asked := now(t.T)
	return t.until(name+" runs on "+node, func() (bool, string) {
		pods, err := t.api.Pods("app=" + name)
		if err != nil || len(pods) != 1 {
			return false, seen(describe(pods), err)
		}
		p := pods[0]
		other, not := strings.CutPrefix(node, "!")
		good := p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && (p.Spec.NodeName == other) != not && ready(p)
		return good && (name == "keep" || t.livesSince(name, string(p.UID), asked)), describe(pods)
	})
}

func ready(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func describe(pods []corev1.Pod) string {
	var words []string
	for _, p := range pods {
		word := fmt.Sprintf("%s %s on %q", p.Name, p.Status.Phase, p.Spec.NodeName)
		if p.DeletionTimestamp != nil {
			word += " terminating"
		}
		for _, c := range p.Status.ContainerStatuses {
			if w := c.State.Waiting; w != nil {
				word += fmt.Sprintf(" (%s: %s)", w.Reason, w.Message)
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, "; ")
}

// livesSince reports whether a pod has written after a time.
func (t *trial) livesSince(name, uid string, since time.Duration) bool {
	t.Helper()
	for _, life := range t.read(name) {
		if (uid == "" || life.UID == uid) && life.Beats[len(life.Beats)-1] > since {
			return true
		}
	}
	return false
}

func (t *trial) read(name string) []pulse.Life {
	t.Helper()
	lives, err := pulse.Read(t.lives(name))
	if err != nil {
		t.Fatal(err)
	}
	return lives
}

// untilQuiet waits until nothing of a workload has written for a while, and returns when it did for the last time.
func (t *trial) untilQuiet(name string) time.Duration {
	t.Helper()
	const while = 500 * time.Millisecond
	var last time.Duration
	t.until(name+" has ended", func() (bool, string) {
		for _, life := range t.read(name) {
			last = max(last, life.Beats[len(life.Beats)-1])
		}
		return now(t.T)-last > while, fmt.Sprintf("it lived at %s", last)
	})
	return last
}

// endsBy waits until a workload's process has ended, as it must have by a time.
func (t *trial) endsBy(name string, deadline time.Duration) {
	t.Helper()
	if last := t.untilQuiet(name); last > deadline {
		t.Errorf("%s lived until %s, which is %s too long", name, last, last-deadline)
	}
}

// restarted is every process of a workload that has begun to live since a time.
func (t *trial) restarted(name string, since time.Duration) (begun []time.Duration) {
	t.Helper()
	for _, life := range t.read(name) {
		if life.Beats[0] > since {
			begun = append(begun, life.Beats[0])
		}
	}
	return begun
}

// verdict is the end of every trial: of each workload there was never more than one.
func (t *trial) verdict(names ...string) {
	t.Helper()
	for _, name := range names {
		lives := t.read(name)
		if len(lives) == 0 {
			t.Errorf("%s has never lived", name)
		}
		if err := pulse.AtMostOne(lives); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %v", name, lives)
	}
}

// always checks that one of a workload lived all the time; the longest pause is generous, for the machine is busy.
func (t *trial) always(name string, from, to time.Duration) {
	t.Helper()
	if err := pulse.Always(t.read(name), from, to, 3*time.Second); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// pass lets time go by, where that is what happens.
func (t *trial) pass(d time.Duration) {
	begun := now(t.T)
	t.until(fmt.Sprintf("%s have passed", d), func() (bool, string) {
		return now(t.T)-begun >= d, ""
	})
}

// untilNode waits until a node's Ready is what is wanted.
func (t *trial) untilNode(name string, want corev1.ConditionStatus) {
	t.Helper()
	t.until(fmt.Sprintf("%s has Ready=%s", name, want), func() (bool, string) {
		status, err := t.nodeReady(name)
		return status == want, seen(string(status), err)
	})
}

func (t *trial) nodeReady(name string) (corev1.ConditionStatus, error) {
	nodes, err := t.api.Nodes()
	for _, n := range nodes {
		for _, c := range n.Status.Conditions {
			if n.Name == name && c.Type == corev1.NodeReady {
				return c.Status, nil
			}
		}
	}
	return "", err
}

// reasons counts the events about nodes, by reason.
func (t *trial) reasons() map[string]int {
	t.Helper()
	events, err := t.api.Events()
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range events {
		if e.InvolvedObject.Kind == "Node" {
			count[e.Reason] += max(1, int(e.Count))
		}
	}
	return count
}

// do fails the test when a step of it goes wrong.
func (t *trial) do(errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// containers are those that a node runs, whatever the cluster thinks.
func (t *trial) containers(node *lab.Agent) []string {
	t.Helper()
	tasks, err := node.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

// untilTidy waits until a node runs as many containers as it should.
func (t *trial) untilTidy(node *lab.Agent, count int) {
	t.Helper()
	t.until(fmt.Sprintf("%s runs %d containers", node.Host.Name, count), func() (bool, string) {
		tasks, err := node.Tasks()
		return err == nil && len(tasks) == count, seen(strings.Join(tasks, " "), err)
	})
}

// now is the time of the boot clock.
func now(t *testing.T) time.Duration {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.Nano())
}
