package scheduler_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/scheduler"
)

// Situations in the words of plantest, and the Events that they lead to: what kubectl describe shows.
func TestSituations(t *testing.T) {
	for _, s := range []struct {
		name  string
		world string
		want  []string
	}{{
		"no node at all",
		`pod a`,
		[]string{"Warning FailedScheduling pod default/a: no nodes available to schedule pods"},
	}, {
		"every node has its own reason, sorted as kube-scheduler sorts them",
		`node n1 memory=100Mi
		 node n2 taint=disk:broken:NoSchedule
		 node n3 taint=disk:broken:NoSchedule
		 node n4 cordoned
		 node n5 notready
		 node n6 pods=0 cpu=50m memory=1Mi
		 pod a memory=200Mi cpu=100m`,
		[]string{"Warning FailedScheduling pod default/a: 0/6 nodes are available: 1 Insufficient cpu, 1 Too many pods, " +
			"1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }, 1 node(s) were unschedulable, " +
			"2 Insufficient memory, 2 node(s) had untolerated taint {disk: broken}."},
	}, {
		"the node selector decides about architecture",
		`node n1 kubernetes.io/arch=amd64
		 node n2 kubernetes.io/arch=arm64
		 pod a kubernetes.io/arch=arm64
		 pod b kubernetes.io/arch=riscv64`,
		[]string{
			"Normal Scheduled pod default/a: Successfully assigned default/a to n2",
			"Warning FailedScheduling pod default/b: 0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
		},
	}, {
		"a node without pod network takes pods on its own network only",
		`node n1 taint=node.kubernetes.io/network-unavailable::NoSchedule
		 pod a
		 pod b hostnetwork`,
		[]string{
			"Warning FailedScheduling pod default/a: 0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/network-unavailable: }.",
			"Normal Scheduled pod default/b: Successfully assigned default/b to n1",
		},
	}, {
		"the least loaded node is taken, requests or not",
		`node n1
		 node n2
		 pod a
		 pod b
		 pod c cpu=2
		 pod d`,
		[]string{
			"Normal Scheduled pod default/a: Successfully assigned default/a to n1",
			"Normal Scheduled pod default/b: Successfully assigned default/b to n2",
			"Normal Scheduled pod default/c: Successfully assigned default/c to n1",
			"Normal Scheduled pod default/d: Successfully assigned default/d to n2",
		},
	}, {
		"a node that has the image is preferred",
		`node n1
		 node n2 image=nginx
		 pod a image=nginx`,
		[]string{"Normal Scheduled pod default/a: Successfully assigned default/a to n2"},
	}, {
		"tolerations open tainted, cordoned and unready nodes",
		`node n1 taint=disk:broken:NoSchedule
		 node n2 cordoned
		 node n3 notready
		 pod a tolerate=disk
		 pod b tolerate=node.kubernetes.io/unschedulable
		 pod c tolerate=node.kubernetes.io/not-ready`,
		[]string{
			"Normal Scheduled pod default/a: Successfully assigned default/a to n1",
			"Normal Scheduled pod default/b: Successfully assigned default/b to n2",
			"Normal Scheduled pod default/c: Successfully assigned default/c to n3",
		},
	}, {
		"PreferNoSchedule is avoided while there is another node",
		`node n1 taint=disk:slow:PreferNoSchedule
		 node n2 pods=1
		 pod a
		 pod b`,
		[]string{
			"Normal Scheduled pod default/a: Successfully assigned default/a to n2",
			"Normal Scheduled pod default/b: Successfully assigned default/b to n1",
		},
	}, {
		"a node that is lost again and again is avoided, and then takes nothing",
		`node n1 taint=skerry.dev/flapping::PreferNoSchedule image=busybox
		 node n2 pods=1
		 node n3 taint=skerry.dev/flapping::NoSchedule
		 pod a
		 pod b`,
		[]string{
			"Normal Scheduled pod default/a: Successfully assigned default/a to n2",
			"Normal Scheduled pod default/b: Successfully assigned default/b to n1",
		},
	}, {
		"host ports and devices are given out once",
		`node n1 skerry.dev/i2c-1=1
		 pod a port=80
		 pod b port=80
		 pod c skerry.dev/i2c-1=1
		 pod d skerry.dev/i2c-1=1`,
		[]string{
			"Normal Scheduled pod default/a: Successfully assigned default/a to n1",
			"Warning FailedScheduling pod default/b: 0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
			"Normal Scheduled pod default/c: Successfully assigned default/c to n1",
			"Warning FailedScheduling pod default/d: 0/1 nodes are available: 1 Insufficient skerry.dev/i2c-1.",
		},
	}, {
		"a pod bound by name bypasses the scheduler and holds its room",
		`node n1 cpu=1
		 pod a cpu=600m node=n1
		 pod b cpu=600m`,
		[]string{"Warning FailedScheduling pod default/b: 0/1 nodes are available: 1 Insufficient cpu."},
	}} {
		t.Run(s.name, func(t *testing.T) {
			w := plantest.New(t, scheduler.New(scheduler.Config{}))
			put(w, s.world)
			if d := cmp.Diff(s.want, events(w.Settle())); d != "" {
				t.Error(d)
			}
			if more := w.Again(scheduler.New(scheduler.Config{})); len(more) != 0 {
				t.Errorf("planning again changes something:\n%s", strings.Join(more, "\n"))
			}
		})
	}
}

// put reads "node …" and "pod …" lines.
func put(w *plantest.World, text string) {
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "node":
			w.Put(plantest.Node(rest))
		case "pod":
			w.Put(plantest.Pod(rest))
		}
	}
}

// events are the lines that are about Events, without the word.
func events(lines []string) []string {
	var out []string
	for _, line := range lines {
		if about, ok := strings.CutPrefix(line, "event "); ok {
			out = append(out, about)
		}
	}
	return out
}

// A binding carries the node, the mark of the scheduler and the condition; a rejection the reason.
func TestWhatIsWritten(t *testing.T) {
	w := plantest.New(t, scheduler.New(scheduler.Config{}))
	put(w, "node n1 cpu=1\npod a cpu=1\npod b cpu=1")
	w.Settle()
	at := metav1.NewTime(plantest.Start)

	a := plantest.Get[*corev1.Pod](w, resource.Pods, "default", "a")
	if a.Spec.NodeName != "n1" || a.Annotations[resource.AnnotationScheduled] != "true" {
		t.Errorf("a is bound to %q with annotations %v", a.Spec.NodeName, a.Annotations)
	}
	want := []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at}}
	if d := cmp.Diff(want, a.Status.Conditions); d != "" {
		t.Error(d)
	}

	b := plantest.Get[*corev1.Pod](w, resource.Pods, "default", "b")
	want = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, LastTransitionTime: at,
		Reason: "Unschedulable", Message: "0/1 nodes are available: 1 Insufficient cpu.",
	}}
	if d := cmp.Diff(want, b.Status.Conditions); d != "" || b.Spec.NodeName != "" {
		t.Error(d, b.Spec.NodeName)
	}
}

// A pod without a place gets one as soon as another pod ends or leaves, or a node comes or gets better.
func TestWaitingPodsAreTriedAgain(t *testing.T) {
	for name, relief := range map[string]func(*plantest.World){
		"a pod ends": func(w *plantest.World) {
			plantest.Update(w, resource.Pods, "default", "a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
		},
		"a pod is deleted":  func(w *plantest.World) { w.Delete(resource.Pods, "default", "a") },
		"a node comes":      func(w *plantest.World) { w.Put(plantest.Node("n2")) },
		"a node gets ready": func(w *plantest.World) { w.Put(plantest.Node("n3")) },
		"a node is bigger":  func(w *plantest.World) { w.Put(plantest.Node("n1 cpu=2")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := plantest.New(t, scheduler.New(scheduler.Config{}))
			put(w, "node n1 cpu=1\nnode n3 notready\npod a cpu=1 node=n1\npod b cpu=1")
			w.Settle()
			relief(w)
			if got := events(w.Settle()); len(got) != 1 || !strings.Contains(got[0], "Successfully assigned default/b") {
				t.Errorf("planned %v", got)
			}
		})
	}
}

// Reasons that change with every node that comes or goes are told at most twice a minute.
func TestFlappingNodesDoNotRepeatReasons(t *testing.T) {
	w := plantest.New(t, scheduler.New(scheduler.Config{}))
	put(w, "node n1 cpu=1\npod a cpu=2")
	w.Settle()
	told := 0
	for i := range 60 {
		w.Advance(time.Second)
		if i%2 == 0 {
			w.Put(plantest.Node("n2 cpu=1"))
		} else {
			w.Delete(resource.Nodes, "", "n2")
		}
		told += len(events(w.Settle()))
	}
	if told < 1 || told > 2 {
		t.Errorf("told %d times in a minute", told)
	}
}

// The pod that waits longest comes first, whatever its name.
func TestOldestFirst(t *testing.T) {
	w := plantest.New(t, scheduler.New(scheduler.Config{}))
	put(w, "pod z cpu=1")
	w.Advance(time.Second)
	put(w, "pod a cpu=1\nnode n1 cpu=1")
	if got := events(w.Settle())[0]; got != "Normal Scheduled pod default/z: Successfully assigned default/z to n1" {
		t.Error(got)
	}
}

// Pods of one owner land on different nodes while there are any, even in a cluster that is only sampled.
func TestPodsOfOneOwnerSpread(t *testing.T) {
	for _, nodes := range []int{5, 500} {
		w := plantest.New(t, scheduler.New(scheduler.Config{}))
		for i := range nodes {
			w.Put(plantest.Node(fmt.Sprintf("n%03d", i)))
		}
		yes := true
		for i := range 5 {
			p := plantest.Pod(fmt.Sprintf("web-%d", i))
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web", UID: "web", Controller: &yes}}
			w.Put(p)
		}
		w.Settle()
		on := map[string]int{}
		for _, p := range plantest.List[*corev1.Pod](w, resource.Pods) {
			on[p.Spec.NodeName]++
		}
		if len(on) != 5 || on[""] != 0 {
			t.Errorf("of %d nodes: %v", nodes, on)
		}
	}
}

// Pods that are bound to a node before it joins hold its room once it has, also when they are replaced meanwhile.
func TestNodesThatJoinLate(t *testing.T) {
	w := plantest.New(t, scheduler.New(scheduler.Config{}))
	put(w, "pod a cpu=500m node=n1")
	w.Settle()
	replaced := plantest.Pod("a cpu=1 node=n1")
	replaced.UID = "another"
	w.Put(replaced)
	w.Settle()
	put(w, "node n1 cpu=1\npod b cpu=500m")
	w.Settle()
	if p := plantest.Get[*corev1.Pod](w, resource.Pods, "default", "b"); p.Spec.NodeName != "" {
		t.Error("n1 is over-committed")
	}
}

// A fuller node without a pod of the owner is better than an emptier one with one.
func TestSpreadingCountsMoreThanLoad(t *testing.T) {
	w := plantest.New(t, scheduler.New(scheduler.Config{}))
	put(w, "node n1\nnode n2\npod full cpu=3 memory=700Mi node=n1")
	yes := true
	for _, text := range []string{"web-1 node=n2", "web-2"} {
		p := plantest.Pod(text)
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web", UID: "web", Controller: &yes}}
		w.Put(p)
	}
	w.Settle()
	if p := plantest.Get[*corev1.Pod](w, resource.Pods, "default", "web-2"); p.Spec.NodeName != "n1" {
		t.Errorf("web-2 is on %q", p.Spec.NodeName)
	}
}

// Over random worlds: no node is over-committed, no pod that some node could take is left out, and planning
// again changes nothing.
func TestNeverOverCommits(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		var lines []string
		for i := range 1 + r.IntN(300) {
			lines = append(lines, fmt.Sprintf("node n%03d cpu=%d memory=%dMi pods=%d zone=%d", i, r.IntN(4), 64+r.IntN(512), r.IntN(5), r.IntN(3)))
		}
		for i := range r.IntN(300) {
			lines = append(lines, fmt.Sprintf("pod p%03d cpu=%dm memory=%dMi zone=%d", i, r.IntN(1500), r.IntN(300), r.IntN(4)))
		}
		w := plantest.New(t, scheduler.New(scheduler.Config{Batch: 1 + r.IntN(50)}))
		put(w, strings.Join(lines, "\n"))
		w.Settle()
		checkRoom(t, w)
		// Reasons are those of a pod's last try, and may be older than the last binding.
		for _, line := range w.Again(scheduler.New(scheduler.Config{})) {
			if strings.Contains(line, "Successfully assigned") {
				t.Errorf("planning again: %s", line)
			}
		}
	}
}

// checkRoom counts by hand, from the objects, what every node has left, and who could still go there.
func checkRoom(t *testing.T, w *plantest.World) {
	t.Helper()
	type room struct{ cpu, memory, pods int64 }
	left := map[string]*room{}
	zone := map[string]string{}
	for _, n := range plantest.List[*corev1.Node](w, resource.Nodes) {
		a := n.Status.Allocatable
		left[n.Name] = &room{a.Cpu().MilliValue(), a.Memory().Value(), a.Pods().Value()}
		zone[n.Name] = n.Labels["zone"]
	}
	pods := plantest.List[*corev1.Pod](w, resource.Pods)
	for _, p := range pods {
		if p.Spec.NodeName == "" {
			continue
		}
		q := p.Spec.Containers[0].Resources.Requests
		l := left[p.Spec.NodeName]
		l.cpu -= q.Cpu().MilliValue()
		l.memory -= q.Memory().Value()
		l.pods--
		if l.cpu < 0 && q.Cpu().MilliValue() > 0 || l.memory < 0 && q.Memory().Value() > 0 || l.pods < 0 {
			t.Errorf("%s is over-committed by %s: %+v", p.Spec.NodeName, p.Name, *l)
		}
		if zone[p.Spec.NodeName] != p.Spec.NodeSelector["zone"] {
			t.Errorf("%s is in the wrong zone", p.Name)
		}
	}
	for _, p := range pods {
		if p.Spec.NodeName != "" {
			continue
		}
		q := p.Spec.Containers[0].Resources.Requests
		for n, l := range left {
			if zone[n] == p.Spec.NodeSelector["zone"] && l.pods >= 1 &&
				l.cpu >= q.Cpu().MilliValue() && l.memory >= q.Memory().Value() {
				t.Errorf("%s would fit on %s", p.Name, n)
			}
		}
	}
}

// A plan is a function of what was observed: the same twice, also when the first was not carried out.
func TestPlanningTwiceIsTheSame(t *testing.T) {
	w := plantest.New(t)
	for i := range 200 {
		w.Put(plantest.Node(fmt.Sprintf("n%03d cpu=1", i)))
	}
	for i := range 150 {
		w.Put(plantest.Pod(fmt.Sprintf("p%03d cpu=600m", i)))
	}
	var plans []any
	for range 2 {
		s := scheduler.New(scheduler.Config{})
		s.Reset(w.Store.View())
		for range 2 {
			groups, _ := s.Plan(w.Store.View(), w.Now)
			plans = append(plans, groups)
		}
	}
	for i := range plans {
		if d := cmp.Diff(plans[0], plans[i]); d != "" {
			t.Fatal(d)
		}
	}
}
