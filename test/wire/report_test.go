package wire

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/message"
)

// A node's first complete status creates its Node with what the agent says of it, and nothing that is the node
// controller's.
func TestJoinCreatesTheNode(t *testing.T) {
	w := newWorld(t, 1)
	w.addNode("n1")
	w.advance(time.Second)
	rec, ok := w.store.View().Get(resource.Nodes.Key("", "n1"))
	if !ok {
		t.Fatal("no Node object")
	}
	node, err := resource.As[*corev1.Node](resource.Nodes, rec)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "labels", node.Labels, map[string]string{"kubernetes.io/arch": "arm64"})
	equal(t, "conditions", len(node.Status.Conditions), 0)
	equal(t, "creation", node.CreationTimestamp.Unix(), w.now.Wall.Add(-time.Second).Unix())
	seen, ok := w.seenOf("n1")
	if !ok || !seen.Online || seen.Readings.CPUMilli != 7 {
		t.Errorf("seen = %+v, %t", seen, ok)
	}
	link, ok := w.seenOf(resource.LinkName)
	if !ok || !link.Online {
		t.Errorf("link = %+v, %t", link, ok)
	}
}

// A late report about a pod can't touch the pod that took its name, and a node can't report on another's pods.
func TestReportsAreByUIDAndNode(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.addNode("n2")
	w.advance(time.Second)
	now := metav1.NewTime(w.now.Wall)
	deleted := func(p *corev1.Pod) { p.DeletionTimestamp = &now }
	for _, d := range w.nodes {
		d.disk.full = true // the nodes never hear of the pods: only what n1 makes up below is reported
	}
	w.bind("a", "new", "n1", deleted)
	w.bind("b", "u2", "n2", deleted)
	w.advance(time.Second)
	for name, uid := range map[string]string{"a": "old", "b": "u2"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(uid)}}
		deleted(pod)
		n.wanted[uid] = pod // it reports both as gone
	}
	n.version++
	n.woken = true
	w.advance(time.Second)
	equal(t, "pods of n1", w.pods("n1"), "a/new Pending")
	equal(t, "pods of n2", w.pods("n2"), "b/u2 Pending")
}

// A pod that has ended stays ended, whatever a node that comes back says.
func TestAnEndedPodStaysEnded(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	w.bus.Cut("n1", true, true)
	w.editPod("a", func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "NodeLost" })
	w.advance(time.Minute)
	n.version++ // it still reports Running
	w.bus.Cut("n1", false, false)
	w.advance(time.Minute)
	equal(t, "phase", w.pods("n1"), "a/u1 Failed")
	equal(t, "reason", w.pod("a").Status.Reason, "NodeLost")
	equal(t, "what the node is told", n.wanted["u1"].Status.Phase, corev1.PodFailed)
}

// A pod with a finalizer stays until somebody removes it, marked so that the remover deletes it.
func TestFinalizersHoldAPod(t *testing.T) {
	w := newWorld(t, 1)
	w.addNode("n1")
	now := metav1.NewTime(w.now.Wall)
	w.bind("a", "u1", "n1", func(p *corev1.Pod) {
		p.DeletionTimestamp, p.Finalizers = &now, []string{"example.com/hold"}
		p.DeletionGracePeriodSeconds = new(int64)
		*p.DeletionGracePeriodSeconds = 30
	})
	w.advance(2 * time.Second)
	pod := w.pod("a")
	if pod == nil || *pod.DeletionGracePeriodSeconds != 0 {
		t.Fatalf("pod = %v", pod)
	}
}

// What the node controller writes over the status of a lost node's pods is put right once the node is back.
func TestStatusesAreMergedOnReturn(t *testing.T) {
	w := newWorld(t, 1)
	w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	ready := func(status corev1.ConditionStatus) {
		rec, _ := w.store.View().Get(resource.Nodes.Key("", "n1"))
		node, err := resource.As[*corev1.Node](resource.Nodes, rec)
		if err != nil {
			t.Fatal(err)
		}
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
		w.put(resource.Nodes, node)
	}
	ready(corev1.ConditionTrue)
	w.advance(15 * time.Second)
	w.bus.Cut("n1", true, true)
	w.advance(time.Minute)
	ready(corev1.ConditionUnknown)
	w.editPod("a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodUnknown })
	w.bus.Cut("n1", false, false)
	w.advance(30 * time.Second)
	equal(t, "phase", w.pods("n1"), "a/u1 Running")
}

// Events of the agent become Events of the API, counted.
func TestEvents(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	happen := func(uid string, count uint32) {
		n.events = []message.Event{{
			UID: uid, Namespace: "default", Name: "a", Warning: true, Reason: "BackOff", Message: "m", Count: count,
			FieldPath: "spec.containers{c}",
		}}
		n.woken = true
		w.advance(time.Second)
	}
	happen("u1", 1)
	happen("u1", 3)
	happen("another", 1)
	var got []string
	for rec := range w.store.View().List(resource.Events.Kind, "") {
		e, err := resource.As[*corev1.Event](resource.Events, rec)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Type+" "+e.Reason+" "+e.InvolvedObject.FieldPath+" "+e.Source.Host)
		equal(t, "count", e.Count, 4)
	}
	equal(t, "events", got, []string{"Warning BackOff spec.containers{c} n1"})
}

// Heartbeats of many nodes share commits; what decides something does not wait for them.
func TestSeenIsCoalesced(t *testing.T) {
	w := newWorld(t, 1)
	for _, name := range strings.Fields("a b c d e f g h i j k l m n o p q r s t u v w x y z") {
		w.addNode(name)
	}
	w.advance(time.Minute)
	cursor, err := w.store.Watch(resource.SeenKind, w.store.View().Rev(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	w.advance(time.Minute)
	commits := map[change.Rev]int{}
	for {
		e, ok, err := cursor.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		commits[e.Rev]++
	}
	writes := 0
	for _, n := range commits {
		writes += n
	}
	if len(commits) > 61 || writes < 150 {
		t.Errorf("%d commits of %d records in a minute", len(commits), writes)
	}
}
