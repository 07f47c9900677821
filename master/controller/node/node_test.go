package node_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/controller/node"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

const second = time.Second

func config(start clock.Now) node.Config {
	return node.Config{NodeTimeout: 30 * second, SuspectTimeout: 15 * second, Heartbeat: 10 * second, Start: start}
}

// rig is a world with nodes that are heard of or not.
type rig struct {
	*plantest.World
	seen map[string]resource.Seen
}

func newRig(t *testing.T, nodes ...string) *rig { return newRigWith(t, 0, nodes...) }

// newRigWith is newRig with a wait in mass failures.
func newRigWith(t *testing.T, wait time.Duration, nodes ...string) *rig {
	w := plantest.New(t)
	c := config(w.Now)
	c.MassFailureWait = wait
	w.Add(node.New(c))
	r := &rig{World: w, seen: map[string]resource.Seen{}}
	r.write(resource.LinkName, resource.Seen{HeardBoot: w.Now.Boot, HeardWall: w.Now.Wall.UnixNano(), Online: true})
	for _, text := range nodes {
		w.Put(plantest.Node(text))
		r.heard(strings.Fields(text)[0])
	}
	r.Settle()
	r.Advance(time.Minute) // the fresh time of the start is over
	for _, text := range nodes {
		r.heard(strings.Fields(text)[0])
	}
	r.Settle()
	return r
}

func (r *rig) write(name string, s resource.Seen) {
	r.seen[name] = s
	r.Commit(change.Change{Key: change.Key{Kind: resource.SeenKind, Name: name}, Base: change.Any, Value: resource.EncodeSeen(s)})
}

func (r *rig) heard(names ...string) {
	for _, name := range names {
		r.write(name, resource.Seen{HeardBoot: r.Now.Boot, HeardWall: r.Now.Wall.UnixNano(), Online: true})
	}
}

func (r *rig) will(name string) {
	s := r.seen[name]
	s.Online, s.OfflineBoot = false, r.Now.Boot
	r.write(name, s)
}

func (r *rig) link(up bool) {
	r.write(resource.LinkName, resource.Seen{
		HeardBoot: r.Now.Boot, HeardWall: r.Now.Wall.UnixNano(), Online: up, ProofBoot: r.seen[resource.LinkName].ProofBoot,
	})
}

// prove says that a probe was sent just now and has come back.
func (r *rig) prove() {
	s := r.seen[resource.LinkName]
	s.ProofBoot = r.Now.Boot
	r.write(resource.LinkName, s)
}

// pass lets time pass in steps of a second, in which some nodes heartbeat and probes come back if there is a
// broker, and returns what was written.
func (r *rig) pass(d time.Duration, alive ...string) (lines []string) {
	for range int(d / second) {
		r.Advance(second)
		r.heard(alive...)
		if r.seen[resource.LinkName].Online {
			r.prove()
		}
		lines = append(lines, r.Settle()...)
	}
	return lines
}

// bound is a pod that the scheduler has put on a node and that runs there.
func bound(text string) *corev1.Pod {
	p := plantest.Pod(text)
	p.Annotations = map[string]string{resource.AnnotationScheduled: "true"}
	return plantest.Running(p, metav1.NewTime(plantest.Start))
}

func owned(p *corev1.Pod) *corev1.Pod {
	yes := true
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "web", Controller: &yes}}
	return p
}

func (r *rig) node(name string) *corev1.Node {
	return plantest.Get[*corev1.Node](r.World, resource.Nodes, "", name)
}
func (r *rig) pod(name string) *corev1.Pod {
	return plantest.Get[*corev1.Pod](r.World, resource.Pods, "default", name)
}

func taints(n *corev1.Node) (out []string) {
	for _, t := range n.Spec.Taints {
		out = append(out, t.Key+":"+string(t.Effect))
	}
	return out
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Silence for node-timeout makes a node Unknown, taints it, and lets each kind of pod go its way, in one commit.
func TestSilence(t *testing.T) {
	r := newRig(t, "n1", "n2")
	r.Put(
		owned(bound("a-owned node=n1")),
		bound("b-bare node=n1"),
		bound("c-once node=n1 restart=Never"),
		bound("d-nowhere node=n1 kubernetes.io/hostname=n1"),
		plantest.Running(plantest.Pod("e-by-name node=n1"), metav1.NewTime(plantest.Start)),
		owned(bound("f-tolerates node=n1 tolerate=node.kubernetes.io/unreachable")),
		bound("g-elsewhere node=n2"),
	)
	leaving := bound("h-leaving node=n1 tolerate=node.kubernetes.io/unreachable")
	leaving.DeletionTimestamp = &metav1.Time{Time: plantest.Start}
	ended := bound("i-ended node=n1 restart=Never")
	ended.Status.Phase = corev1.PodSucceeded
	r.Put(leaving, ended)
	before := r.pod("b-bare").UID

	if got := r.pass(29*second, "n2"); len(got) != 0 {
		t.Errorf("before the time-out: %v", got)
	}
	wantLines(t, r.pass(second, "n2"),
		"event Normal NodeNotReady node n1: Node n1 status is now: NodeNotReady",
		"update nodes n1: lost",
		"event Normal TaintManagerEviction pod default/a-owned: Marking for deletion Pod default/a-owned",
		"delete pods default/a-owned: its node is lost and its controller replaces it",
		"event Normal TaintManagerEviction pod default/b-bare: Moving Pod default/b-bare away from lost node n1",
		"update pods default/b-bare: its node is lost and nobody else replaces it",
		"event Warning NodeLost pod default/c-once: Node n1 which was running pod c-once is unresponsive",
		"update pods default/c-once: its node is lost and it does not restart",
		"event Warning NodeNotReady pod default/d-nowhere: Node is not ready",
		"event Warning PodStays pod default/d-nowhere: Pod stays on lost node n1: no other node that is up could take it",
		"update pods default/d-nowhere: its node is lost and it has to stay",
		"event Warning NodeNotReady pod default/e-by-name: Node is not ready",
		"event Warning PodStays pod default/e-by-name: Pod stays on lost node n1: it was bound to this node by name and is never moved",
		"update pods default/e-by-name: its node is lost and it has to stay",
		"event Warning NodeNotReady pod default/f-tolerates: Node is not ready",
		"event Normal PodStays pod default/f-tolerates: Pod stays on lost node n1: it tolerates that",
		"update pods default/f-tolerates: its node is lost",
		"delete pods default/h-leaving: it was being deleted and its node is lost",
	)
	n := r.node("n1")
	if c := resource.NodeCondition(n, corev1.NodeReady); c.Status != corev1.ConditionUnknown || c.Reason != "NodeStatusUnknown" || c.Message != "skerry-agent stopped posting node status." {
		t.Errorf("%+v", c)
	}
	wantLines(t, taints(n), "node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute")
	moved := r.pod("b-bare")
	if moved.UID == before || moved.UID == "" || moved.Spec.NodeName != "" || moved.Status.Phase != corev1.PodPending ||
		len(moved.Status.Conditions) != 0 || moved.Annotations[resource.AnnotationScheduled] != "" {
		t.Errorf("moved: %+v", moved)
	}
	if p := r.pod("c-once"); p.Status.Phase != corev1.PodFailed || p.Status.Reason != "NodeLost" {
		t.Errorf("c-once: %+v", p.Status)
	}
	if more := r.pass(time.Minute, "n2"); len(more) != 0 {
		t.Errorf("afterwards: %v", more)
	}

	// The node returns: Ready, without taints, and the pods that stayed are as ready as their containers.
	r.heard("n1")
	wantLines(t, r.Settle(),
		"event Normal NodeReady node n1: Node n1 status is now: NodeReady",
		"update nodes n1: alive",
		"update pods default/d-nowhere: its node is back",
		"update pods default/e-by-name: its node is back",
		"update pods default/f-tolerates: its node is back",
	)
	if got := taints(r.node("n1")); len(got) != 0 {
		t.Errorf("taints %v", got)
	}
	if c := resource.PodCondition(r.pod("d-nowhere"), corev1.PodReady); c.Status != corev1.ConditionTrue || c.Reason != "" {
		t.Errorf("%+v", c)
	}
}

// hold records that a pod is permitted to run; free ends that.
func (r *rig) hold(pod *corev1.Pod) {
	r.Commit(change.Change{Key: resource.Slots{Namespace: "default", Owner: "pod/" + pod.Name}.Key(0), Base: change.Any,
		Value: resource.EncodeSlot(resource.Slot{Pod: pod.UID, Name: pod.Name, Node: pod.Spec.NodeName})})
}

func (r *rig) free(name string) {
	r.Commit(change.Change{Key: resource.Slots{Namespace: "default", Owner: "pod/" + name}.Key(0), Base: change.Any})
}

// A pod that must be single stays until its last permit has surely ended, also one that was being deleted; then it goes
// its way at once. One that was never permitted goes without waiting, and one that can run here alone never.
func TestSinglePodsWaitForTheirPermitToEnd(t *testing.T) {
	r := newRig(t, "n1", "n2")
	for _, text := range []string{"a-owned node=n1", "b-bare node=n1", "c-leaving node=n1", "d-never-ran node=n1", "e-selects node=n1 kubernetes.io/hostname=n1"} {
		p := bound(text)
		p.Annotations[resource.PartitionPolicy] = resource.PolicyStop
		switch p.Name[0] {
		case 'a':
			owned(p)
		case 'c':
			p.DeletionTimestamp = &metav1.Time{Time: plantest.Start}
		}
		r.Put(p)
		if p.Name[0] != 'd' {
			r.hold(r.pod(p.Name))
		}
	}
	r.pass(29*second, "n2")
	var lines []string
	for _, line := range r.pass(second, "n2") {
		if !strings.HasPrefix(line, "event Normal NodeNotReady node n1") && !strings.HasPrefix(line, "update nodes n1") {
			lines = append(lines, line)
		}
	}
	wantLines(t, lines,
		"event Warning NodeNotReady pod default/a-owned: Node is not ready",
		"event Normal PodStays pod default/a-owned: Pod stays on lost node n1: it must run at most once and is replaced when this node's permit to run it has surely ended",
		"update pods default/a-owned: its node is lost",
		"event Warning NodeNotReady pod default/b-bare: Node is not ready",
		"event Normal PodStays pod default/b-bare: Pod stays on lost node n1: it must run at most once and is replaced when this node's permit to run it has surely ended",
		"update pods default/b-bare: its node is lost",
		"event Warning NodeNotReady pod default/c-leaving: Node is not ready",
		"event Normal PodStays pod default/c-leaving: Pod stays on lost node n1: it must run at most once and is replaced when this node's permit to run it has surely ended",
		"update pods default/c-leaving: its node is lost",
		"event Normal TaintManagerEviction pod default/d-never-ran: Moving Pod default/d-never-ran away from lost node n1",
		"update pods default/d-never-ran: its node is lost and nobody else replaces it",
		"event Warning NodeNotReady pod default/e-selects: Node is not ready",
		"event Warning PodStays pod default/e-selects: Pod stays on lost node n1: it was bound to this node by name and is never moved",
		"update pods default/e-selects: its node is lost and it has to stay",
	)
	if more := r.pass(10*time.Minute, "n2"); len(more) != 0 {
		t.Errorf("while they are held: %v", more)
	}
	for _, name := range []string{"a-owned", "b-bare", "c-leaving"} {
		r.free(name)
	}
	wantLines(t, r.Settle(),
		"event Normal TaintManagerEviction pod default/a-owned: Marking for deletion Pod default/a-owned",
		"delete pods default/a-owned: its node is lost and its controller replaces it",
		"event Normal TaintManagerEviction pod default/b-bare: Moving Pod default/b-bare away from lost node n1",
		"update pods default/b-bare: its node is lost and nobody else replaces it",
		"delete pods default/c-leaving: it was being deleted and its node is lost",
	)
}

// A new node is registered at its first heartbeat; one that is never heard is not Ready, then unknown.
func TestNewNodes(t *testing.T) {
	r := newRig(t)
	fresh := plantest.Node("n1")
	fresh.Status.Conditions = nil
	r.Put(fresh)
	wantLines(t, r.Settle(),
		"event Normal RegisteredNode node n1: Node n1 event: Registered Node n1 in Controller",
		"update nodes n1: waits to be heard")
	wantLines(t, taints(r.node("n1")), "node.kubernetes.io/not-ready:NoSchedule", "node.kubernetes.io/not-ready:NoExecute")
	r.heard("n1")
	wantLines(t, r.Settle(),
		"event Normal NodeReady node n1: Node n1 status is now: NodeReady",
		"update nodes n1: alive")

	never := plantest.Node("n2")
	never.Status.Conditions = nil
	r.Put(never, plantest.Pod("by-name node=n2"))
	r.Settle()
	r.pass(29*second, "n1")
	if c := resource.NodeCondition(r.node("n2"), corev1.NodeReady); c.Status != corev1.ConditionFalse || c.Reason != "NodeStatusNeverUpdated" {
		t.Errorf("%+v", c)
	}
	r.pass(second, "n1")
	if c := resource.NodeCondition(r.node("n2"), corev1.NodeReady); c.Status != corev1.ConditionUnknown || c.Message != "skerry-agent never posted node status." {
		t.Errorf("%+v", c)
	}
	if !r.Has(resource.Pods, "default", "by-name") {
		t.Error("a pod that was bound by name to a node that was never heard is gone")
	}
}

// A will shortens the deadline, and an agent that returns in time costs nothing.
func TestWill(t *testing.T) {
	r := newRig(t, "n1", "n2")
	r.Put(owned(bound("web node=n1")))
	r.will("n1")
	wantLines(t, r.Settle(),
		"event Warning NodeSuspect node n1: Node n1 lost its connection and is given 15s to return",
		"update nodes n1: suspect")
	if got := r.pass(14*second, "n2"); len(got) != 0 {
		t.Errorf("while suspect: %v", got)
	}
	r.heard("n1")
	wantLines(t, r.Settle(),
		"event Normal NodeConnected node n1: Node n1 has returned in time",
		"update nodes n1: alive")
	if c := resource.NodeCondition(r.node("n1"), resource.ConditionSuspect); c.Status != corev1.ConditionFalse {
		t.Errorf("%+v", c)
	}

	r.pass(5*second, "n1", "n2")
	r.will("n1")
	r.Settle()
	r.pass(14*second, "n2")
	if !r.Has(resource.Pods, "default", "web") {
		t.Error("evicted before the suspect time-out")
	}
	r.pass(second, "n2")
	if r.Has(resource.Pods, "default", "web") {
		t.Error("not evicted after the suspect time-out")
	}
}

// A will does not lengthen the deadline of a node that had been silent for long.
func TestLateWill(t *testing.T) {
	r := newRig(t, "n1", "n2")
	r.pass(25*second, "n2")
	r.will("n1")
	r.pass(5*second, "n2")
	if c := resource.NodeCondition(r.node("n1"), corev1.NodeReady); c.Status != corev1.ConditionUnknown {
		t.Errorf("%+v", c)
	}
}

// While the master has no broker, silence says nothing; after its return a node has the back-off cap and an
// interval (15 s + 10 s) to come back, whatever wills said before. A node that was lost before stays so.
func TestMasterWithoutBroker(t *testing.T) {
	r := newRig(t, "n1", "n2", "n3")
	r.pass(31*second, "n1", "n2")
	r.will("n2")
	r.Settle()
	r.link(false)
	if got := r.pass(10 * time.Minute); len(got) > 3 { // n2 is suspect no longer
		t.Errorf("without a broker: %v", got)
	}
	r.link(true)
	r.pass(24 * second)
	for name, want := range map[string]corev1.ConditionStatus{"n1": "True", "n2": "True", "n3": "Unknown"} {
		if c := resource.NodeCondition(r.node(name), corev1.NodeReady); c.Status != want {
			t.Errorf("%s: %+v", name, c)
		}
	}
	r.pass(second, "n1")
	for name, want := range map[string]corev1.ConditionStatus{"n1": "True", "n2": "Unknown", "n3": "Unknown"} {
		if c := resource.NodeCondition(r.node(name), corev1.NodeReady); c.Status != want {
			t.Errorf("after 25 s: %s: %+v", name, c)
		}
	}
}

// ready says which nodes are Ready.
func (r *rig) ready(names ...string) (out []corev1.ConditionStatus) {
	for _, name := range names {
		out = append(out, resource.NodeCondition(r.node(name), corev1.NodeReady).Status)
	}
	return out
}

// Silence counts while probes come back: while the line is dead and nobody has noticed, or records are late, no node
// is lost and no suspect given up, and a probe from before the deadline says nothing.
func TestSilenceIsProven(t *testing.T) {
	r := newRig(t, "n1", "n2")
	r.pass(5*second, "n1")
	r.will("n2")
	for range 120 {
		r.Advance(second)
		r.Settle()
	}
	if d := cmp.Diff([]corev1.ConditionStatus{"True", "True"}, r.ready("n1", "n2")); d != "" {
		t.Errorf("without proof: %s", d)
	}
	s := r.seen[resource.LinkName]
	s.ProofBoot = r.seen["n2"].OfflineBoot + 15*second - 1
	r.write(resource.LinkName, s)
	r.Settle()
	if d := cmp.Diff([]corev1.ConditionStatus{"True", "True"}, r.ready("n1", "n2")); d != "" {
		t.Errorf("with a proof from before the deadline: %s", d)
	}
	s.ProofBoot++
	r.write(resource.LinkName, s)
	r.Settle()
	if d := cmp.Diff([]corev1.ConditionStatus{"True", "Unknown"}, r.ready("n1", "n2")); d != "" {
		t.Errorf("with a proof from the suspect's deadline: %s", d)
	}
	r.heard("n1")
	r.prove()
	r.Settle()
	r.pass(29 * second)
	if d := cmp.Diff([]corev1.ConditionStatus{"True", "Unknown"}, r.ready("n1", "n2")); d != "" {
		t.Errorf("heard in time: %s", d)
	}
	r.pass(second)
	if d := cmp.Diff([]corev1.ConditionStatus{"Unknown", "Unknown"}, r.ready("n1", "n2")); d != "" {
		t.Errorf("at the deadline: %s", d)
	}
}

// A broker that comes and goes gives a silent node the 25 s once, counted while it is there; one that is heard in
// between has all of it again.
func TestFlappingBroker(t *testing.T) {
	r := newRig(t, "n1", "n2")
	flap := func(alive ...string) {
		r.link(false)
		r.pass(20 * second)
		r.link(true)
		r.pass(6*second, alive...)
	}
	for range 4 {
		flap("n2")
	}
	if d := cmp.Diff([]corev1.ConditionStatus{"True", "True"}, r.ready("n1", "n2")); d != "" {
		t.Errorf("after 24 s with a broker: %s", d)
	}
	flap("n2")
	if d := cmp.Diff([]corev1.ConditionStatus{"Unknown", "True"}, r.ready("n1", "n2")); d != "" {
		t.Errorf("after 30 s with a broker: %s", d)
	}
	r.heard("n1")
	r.Settle()
	for range 4 {
		flap("n2")
	}
	if d := cmp.Diff([]corev1.ConditionStatus{"True", "True"}, r.ready("n1", "n2")); d != "" {
		t.Errorf("after a word and another 24 s: %s", d)
	}
}

// A restarted master gives every node its whole time-out: nothing is evicted before, not even from a node that
// was Unknown.
func TestMasterStart(t *testing.T) {
	r := newRig(t, "n1", "n2")
	r.pass(31*second, "n2")
	r.Put(owned(bound("late node=n1")), owned(bound("web node=n2")))

	w := r.World
	restarted := plantest.New(t)
	for _, kind := range []*resource.Resource{resource.Nodes, resource.Pods} {
		for rec := range w.Store.View().List(kind.Kind, "") {
			restarted.Commit(change.Change{Key: rec.Key, Base: change.Any, Value: rec.Value})
		}
	}
	restarted.Now.Boot = time.Second // a rebooted machine
	restarted.Add(node.New(config(restarted.Now)))
	r = &rig{World: restarted, seen: map[string]resource.Seen{}}
	r.link(true)
	r.Settle()
	if got := r.pass(29 * second); len(got) != 0 {
		t.Errorf("within the time-out: %v", got)
	}
	r.heard("n2")
	r.pass(second, "n2")
	if r.Has(resource.Pods, "default", "late") || !r.Has(resource.Pods, "default", "web") {
		t.Error("after the time-out only the pods of the silent node go")
	}
}

// With no other node that is up, everything stays, and goes once there is one.
func TestNowhereToGo(t *testing.T) {
	r := newRig(t, "n1", "n2 cordoned", "n3 taint=a:b:NoSchedule")
	r.Put(owned(bound("owned node=n1")), bound("bare node=n1"), bound("once node=n1 restart=Never"))
	r.pass(time.Minute, "n2", "n3")
	for _, name := range []string{"owned", "bare", "once"} {
		if p := r.pod(name); p.Spec.NodeName != "n1" || p.Status.Phase != corev1.PodRunning {
			t.Errorf("%s: %+v", name, p)
		}
	}
	plantest.Update(r.World, resource.Nodes, "", "n2", func(n *corev1.Node) { n.Spec.Unschedulable = false })
	r.Settle()
	if r.Has(resource.Pods, "default", "owned") || r.pod("bare").Spec.NodeName != "" || r.pod("once").Status.Phase != corev1.PodFailed {
		t.Error("pods stayed although n2 could take them")
	}
}

// tolerationSeconds are counted by the boot clock from when the node was lost.
func TestTolerationSeconds(t *testing.T) {
	r := newRig(t, "n1", "n2")
	p := owned(bound("web node=n1"))
	seconds := int64(300)
	p.Spec.Tolerations = []corev1.Toleration{
		{Key: "node.kubernetes.io/unreachable", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
	}
	r.Put(p)
	r.pass(30*second, "n2")
	r.Now.Wall = r.Now.Wall.Add(24 * time.Hour)
	r.pass(299*second, "n2")
	if !r.Has(resource.Pods, "default", "web") {
		t.Fatal("evicted too early")
	}
	r.pass(second, "n2")
	if r.Has(resource.Pods, "default", "web") {
		t.Error("not evicted")
	}
}

// Of the tolerations of a taint the first decides, and of the taints the one that is borne for the shortest time, as in
// Kubernetes (k8s.io/component-helpers, GetMatchingTolerations; tainteviction, getMinTolerationTime). That it
// waits, and until when, is said when that changes.
func TestWhichTolerationCounts(t *testing.T) {
	bears := func(seconds int64, keys ...string) (out []corev1.Toleration) {
		for _, key := range keys {
			out = append(out, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, TolerationSeconds: &seconds})
			if seconds < 0 {
				out[len(out)-1].TolerationSeconds = nil
			}
		}
		return out
	}
	const unreachable = corev1.TaintNodeUnreachable
	for name, c := range map[string]struct {
		tolerations []corev1.Toleration
		stays       time.Duration // after the node was lost; 0: not at all, negative: for good
	}{
		"none":                       {nil, 0},
		"of another taint":           {bears(60, corev1.TaintNodeNotReady), 0},
		"none of the user's taint":   {bears(60, unreachable), 0},
		"for good":                   {bears(-1, unreachable, "mine"), -1},
		"the shorter":                {append(bears(60, unreachable), bears(20, "mine")...), 20 * second},
		"the first, which is longer": {append(bears(60, unreachable, "mine"), bears(20, unreachable, "mine")...), 60 * second},
		"less than nothing":          {append(bears(60, "mine"), bears(0, unreachable)...), 0},
		"everything, for a time":     {bears(30, ""), 30 * second},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "n1", "n2")
			r.pass(29*second, "n2")
			p := owned(bound("web node=n1"))
			p.Spec.Tolerations = c.tolerations
			r.Put(p)
			lines := r.pass(second, "n2") // the node is lost, and has the user's taint since then
			plantest.Update(r.World, resource.Nodes, "", "n1", func(n *corev1.Node) {
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "mine", Effect: corev1.TaintEffectNoExecute})
			})
			lines = append(lines, r.Settle()...)
			for range 200 {
				if !r.Has(resource.Pods, "default", "web") {
					break
				}
				lines = append(lines, r.pass(second, "n2")...)
			}
			stayed := r.Now.Boot - plantestStart - 90*second
			switch gone := !r.Has(resource.Pods, "default", "web"); {
			case gone != (c.stays >= 0):
				t.Errorf("gone: %v", gone)
			case gone && stayed != c.stays:
				t.Errorf("it stayed for %s, want %s", stayed, c.stays)
			}
			told := 0
			for _, line := range lines {
				if strings.HasPrefix(line, "event Normal PodStays") {
					told++
				}
			}
			if c.stays != 0 && told == 0 || told > 2 { // once for the one taint, and once for both
				t.Errorf("told %d times: %v", told, lines)
			}
		})
	}
}

// plantestStart is the boot clock at the start of a world.
const plantestStart = time.Hour

// A user's NoExecute taint ends the pods that don't tolerate it, with their grace; cordon and pressure taint.
func TestTaintsOfLiveNodes(t *testing.T) {
	r := newRig(t, "n1", "n2")
	r.Put(owned(bound("web node=n1")), owned(bound("bears node=n1 tolerate=maintenance")))
	plantest.Update(r.World, resource.Nodes, "", "n1", func(n *corev1.Node) {
		n.Spec.Unschedulable = true
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "maintenance", Effect: corev1.TaintEffectNoExecute})
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue})
	})
	wantLines(t, r.Settle(),
		"update nodes n1: alive",
		"event Normal TaintManagerEviction pod default/web: Marking for deletion Pod default/web",
		"update pods default/web: a taint of its node evicts it")
	if p := r.pod("web"); p.DeletionTimestamp == nil || *p.DeletionGracePeriodSeconds != 30 {
		t.Errorf("%+v", p.ObjectMeta)
	}
	wantLines(t, taints(r.node("n1")), "maintenance:NoExecute", "node.kubernetes.io/unschedulable:NoSchedule", "node.kubernetes.io/disk-pressure:NoSchedule")
	plantest.Update(r.World, resource.Nodes, "", "n1", func(n *corev1.Node) {
		n.Spec.Unschedulable = false
		n.Status.Conditions[len(n.Status.Conditions)-1].Status = corev1.ConditionFalse
	})
	r.Settle()
	wantLines(t, taints(r.node("n1")), "maintenance:NoExecute")
}

// A pod that is bound to a lost node later is dealt with, too.
func TestPodsBoundToALostNode(t *testing.T) {
	r := newRig(t, "n1", "n2")
	r.pass(31*second, "n2")
	r.Put(owned(bound("web node=n1")))
	r.Settle()
	if r.Has(resource.Pods, "default", "web") {
		t.Error("it stays")
	}
}

// Whatever is heard and whatever fails, a node that was heard within suspect-timeout keeps its pods, and one
// that has been silent for long is not Ready; planning again changes nothing.
func TestNeverEvictsFromAHeardNode(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		r := newRig(t, "n1", "n2", "n3")
		names := []string{"n1", "n2", "n3"}
		silent := map[string]int{}
		for i := range 400 {
			if rng.IntN(20) == 0 {
				r.Put(owned(bound(fmt.Sprintf("p%d node=%s", i, names[rng.IntN(3)]))))
			}
			if name := names[rng.IntN(3)]; rng.IntN(30) == 0 && silent[name] == 0 {
				silent[name] = 1 + rng.IntN(60)
				if rng.IntN(2) == 0 {
					r.will(name)
				}
			}
			var alive []string
			for _, name := range names {
				if silent[name] > 0 {
					silent[name]--
				} else {
					alive = append(alive, name)
				}
			}
			before := plantest.List[*corev1.Pod](r.World, resource.Pods)
			r.pass(second, alive...)
			for _, p := range before {
				quiet := r.Now.Boot - r.seen[p.Spec.NodeName].HeardBoot
				if !r.Has(resource.Pods, "default", p.Name) && quiet < 15*second {
					t.Fatalf("seed %d: %s was evicted from %s after %s", seed, p.Name, p.Spec.NodeName, quiet)
				}
			}
			for _, name := range names {
				quiet := r.Now.Boot - r.seen[name].HeardBoot
				ready := resource.NodeCondition(r.node(name), corev1.NodeReady).Status
				if quiet >= 30*second && ready == corev1.ConditionTrue || quiet == 0 && ready != corev1.ConditionTrue {
					t.Fatalf("seed %d: %s, silent for %s, has Ready=%s", seed, name, quiet, ready)
				}
			}
			if more, _ := r.Step(); len(more) != 0 {
				t.Fatalf("seed %d: planning again: %v", seed, more)
			}
		}
	}
}
