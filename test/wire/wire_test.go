package wire

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

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

// A pod that is bound reaches its node, runs, is reported, and goes when the node says that nothing is left.
func TestAPodsWay(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.advance(time.Second)
	w.bind("a", "u1", "n1")
	w.advance(time.Second)
	equal(t, "the node runs", n.pods(), "a/u1 Running")
	equal(t, "the store shows", w.pods("n1"), "a/u1 Running")
	if resource.PodCondition(w.pod("a"), corev1.PodScheduled) == nil {
		t.Error("the scheduler's condition is gone")
	}
	now := metav1.NewTime(w.now.Wall)
	w.editPod("a", func(p *corev1.Pod) { p.DeletionTimestamp = &now })
	w.advance(time.Second)
	equal(t, "the store shows", w.pods("n1"), "")
	equal(t, "the node runs", n.pods(), "")
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

// ConfigMaps travel with the pods that name them, and a change of one reaches the node.
func TestConfigMapsTravel(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "c"}, Data: map[string]string{"k": "1"}}
	w.put(resource.ConfigMaps, config)
	w.put(resource.ConfigMaps, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "other"}})
	w.bind("a", "u1", "n1", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "c"},
		}}}
	})
	value := func() string {
		content, err := message.Decode[message.Content](n.disk.content)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, encoded := range content.ConfigMaps {
			c := corev1.ConfigMap{}
			if err := c.Unmarshal(encoded); err != nil {
				t.Fatal(err)
			}
			all = append(all, c.Name+"="+c.Data["k"])
		}
		return strings.Join(all, ",")
	}
	w.advance(2 * time.Second)
	equal(t, "ConfigMaps", value(), "c=1")
	config.Data["k"] = "2"
	w.put(resource.ConfigMaps, config)
	w.advance(time.Second)
	equal(t, "ConfigMaps", value(), "c=2")
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

// Deleting a Node tells its agent, explicitly, to run nothing; reporting on does not bring the Node back, nor does
// another run. With its key revoked the agent is told so; with a new one it is a node again.
func TestADeletedNodeRunsNothing(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	w.commit(change.Change{Key: resource.Nodes.Key("", "n1")})
	w.advance(time.Second)
	equal(t, "the node runs", n.pods(), "")
	n.memory++
	n.woken = true
	w.advance(time.Minute)
	if _, ok := w.store.View().Get(resource.Nodes.Key("", "n1")); ok {
		t.Error("the Node is back")
	}
	if _, ok := w.seenOf("n1"); ok {
		t.Error("its last-seen record is still there")
	}
	n.restart()
	w.advance(time.Minute)
	equal(t, "in its next run the node runs", n.pods(), "")

	w.join("n1", n.keys, func(k *resource.NodeKey) { k.Revoked = 77 })
	w.advance(time.Minute)
	equal(t, "the agent was told that it was removed at", n.keys.RevokedAt, 77)
	equal(t, "what its link says", n.link.Health().Revoked, 77)
	var said []string
	w.seen = func(p bus.Packet) {
		if _, channel, _ := w.topics.Parse(p.Topic); p.Up && p.Client == "n1" {
			said = append(said, channel)
		}
	}
	n.restart()
	w.advance(10 * time.Minute)
	w.seen = nil
	equal(t, "in ten minutes it says", strings.Join(said, ", "), "presence, hello")
	equal(t, "then the node runs", n.pods(), "")

	n.keys = cluster.AnotherNode("n1", "n1-again")
	w.join("n1", n.keys)
	n.restart()
	w.advance(time.Second)
	equal(t, "after it joined again the node runs", n.pods(), "a/u1 Running")
}

// That a broker forgets what it retained, or that an agent starts without a master, never stops a pod.
func TestNothingRetainedMeansNothing(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	w.line.Lose()
	w.bus.Restart()
	n.start()
	w.advance(10 * time.Minute)
	equal(t, "without a master the node runs", n.pods(), "a/u1 Running")
	equal(t, "answered", n.link.Health().Answered, false)
	w.startMaster()
	w.advance(time.Minute)
	equal(t, "the node runs", n.pods(), "a/u1 Running")
	equal(t, "documents written", n.disk.documents, 2) // the empty one of its join, and this
}

// An idle fleet sends heartbeats and nothing else, and writes nothing to any disk.
func TestIdle(t *testing.T) {
	w := newWorld(t, 1)
	for _, name := range []string{"n1", "n2", "n3"} {
		w.addNode(name)
		w.bind("p-"+name, "u-"+name, name)
	}
	w.advance(time.Minute)
	rev := w.store.View().Rev()
	durable := func() int {
		n := 0
		for _, r := range resource.All {
			for rec := range w.store.View().List(r.Kind, "") {
				if rec.Rev > rev {
					n++
				}
			}
		}
		return n
	}
	written := func() (n int) {
		for _, d := range w.nodes {
			n += d.disk.documents + d.disk.small
		}
		return n
	}
	before := written()
	sent := map[string]int{}
	largest := 0
	w.seen = func(p bus.Packet) {
		if !p.Up {
			return
		}
		sent[p.Client+" "+p.Topic[strings.LastIndex(p.Topic, "/")+1:]]++
		if strings.HasSuffix(p.Topic, "/hb") {
			largest = max(largest, len(p.Payload))
		}
	}
	w.advance(10 * time.Minute)
	delete(sent, "master leader")
	for client, n := range sent {
		if n < 60 || n > 64 {
			t.Errorf("%s: %d messages in ten minutes", client, n)
		}
	}
	for topic := range sent {
		if !strings.HasSuffix(topic, " hb") && !strings.HasPrefix(topic, "master ") {
			t.Errorf("an idle node sent on %s", topic)
		}
	}
	equal(t, "clients that sent", len(sent), 4)
	equal(t, "writes of agents", written()-before, 0)
	equal(t, "durable writes of the master", durable(), 0)
	if largest > 64+seal.Overhead {
		t.Errorf("a heartbeat takes %d bytes", largest)
	}
}

// After a restart of the master nothing is sent or stored twice: the contents are the same, only numbers change.
func TestMasterRestartIsCheap(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	documents, accepts := n.disk.documents, n.accepts
	published := 0
	w.seen = func(p bus.Packet) {
		if p.Up && strings.HasSuffix(p.Topic, "/desired") {
			published++
		}
	}
	w.restartMaster()
	w.advance(15 * time.Second)
	equal(t, "documents published", published, 0)
	equal(t, "documents written", n.disk.documents, documents)
	equal(t, "desired states accepted", n.accepts, accepts)
	equal(t, "position", n.disk.position, message.Position{Epoch: message.Epoch(w.store.Epoch()), Serial: 1})
	equal(t, "highest epoch", n.disk.epoch, message.Epoch(w.store.Epoch()))
	if seen, ok := w.seenOf("n1"); !ok || !seen.Online {
		t.Error("the new master has not heard the node")
	}
	w.bind("b", "u2", "n1")
	w.advance(time.Second)
	equal(t, "the node runs", n.pods(), "a/u1 Running, b/u2 Running")
}

// An announcement that is lost does not leave a node deaf until the next one: its messages show that it does not
// know who leads.
func TestALostAnnouncementIsRepeated(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.advance(time.Minute)
	w.bus.Cut("n1", false, true)
	w.restartMaster()
	w.advance(time.Second)
	w.bus.Cut("n1", false, false)
	w.advance(35 * time.Second) // a heartbeat, an announcement an interval later, a hello within another one
	equal(t, "highest epoch", n.disk.epoch, message.Epoch(w.store.Epoch()))
	if seen, ok := w.seenOf("n1"); !ok || !seen.Online {
		t.Error("the new master has not heard the node")
	}
}

// A will makes the node's record say offline at once; the next message of the node takes that back.
func TestWill(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.advance(12 * time.Second)
	n.client.Lose()
	w.bus.Drop("n1")
	w.advance(time.Millisecond)
	seen, _ := w.seenOf("n1")
	if seen.Online || seen.OfflineBoot == 0 {
		t.Errorf("seen = %+v", seen)
	}
	w.connect(n.client)
	w.advance(time.Millisecond)
	seen, _ = w.seenOf("n1")
	if !seen.Online || seen.OfflineBoot != 0 {
		t.Errorf("seen = %+v", seen)
	}
}

// While no message comes back from the broker, though the connection looks alive, the line is down.
func TestADeadLineIsNoticed(t *testing.T) {
	w := newWorld(t, 1)
	w.addNode("n1")
	w.advance(time.Minute)
	w.bus.Cut("master", true, true)
	w.advance(26 * time.Second)
	if link, _ := w.seenOf(resource.LinkName); link.Online {
		t.Error("the line counts as up")
	}
	w.bus.Cut("master", false, false)
	w.advance(11 * time.Second)
	if link, _ := w.seenOf(resource.LinkName); !link.Online {
		t.Error("the line counts as down")
	}
}

// The record of the line says when the newest probe was sent that has come back. A dead line proves nothing more,
// and an overdue node is known to be so as soon as its time is over.
func TestTheLineIsProven(t *testing.T) {
	w := newWorld(t, 1)
	w.addNode("n1")
	w.advance(time.Minute)
	proof := func() time.Duration {
		link, _ := w.seenOf(resource.LinkName)
		return link.ProofBoot
	}
	if behind := w.now.Boot - proof(); behind > 11*time.Second {
		t.Errorf("the proof is %s old", behind)
	}
	w.bus.Cut("master", false, true) // the probes go out and don't come back
	cut := w.now.Boot
	w.advance(20 * time.Second)
	if proof() > cut {
		t.Errorf("a probe of %s after the cut has come back", proof()-cut)
	}
	w.bus.Cut("master", false, false)
	w.advance(time.Minute)

	w.bus.Cut("n1", true, true)
	w.advance(11 * time.Second)
	seen, _ := w.seenOf("n1")
	deadline := seen.HeardBoot + settings.Timeout()
	for w.now.Boot < deadline {
		w.advance(min(100*time.Millisecond, deadline-w.now.Boot))
	}
	if proof() < deadline {
		t.Errorf("at its deadline no probe proves that n1 is silent: the last is of %s before", deadline-proof())
	}
	sent := 0
	w.advance(10 * time.Minute) // the node is given up
	w.seen = func(p bus.Packet) {
		if p.Up && p.Client == "master" && strings.Contains(p.Topic, "/probe/") {
			sent++
		}
	}
	w.advance(10 * time.Minute)
	if sent < 59 || sent > 61 {
		t.Errorf("%d probes in ten minutes after it is given up", sent)
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

// Frames of streams go both ways, and not to a node that nobody has heard of.
func TestFrames(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	if err := n.link.SendFrame([]byte("x")); err == nil {
		t.Error("the agent sends frames to nobody")
	}
	w.advance(time.Second)
	for _, frame := range []string{"1", "2"} {
		if err := w.master.SendFrame("n1", []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.link.SendFrame([]byte("3")); err != nil {
		t.Fatal(err)
	}
	if err := w.master.SendFrame("n9", []byte("x")); err == nil {
		t.Error("the master sends frames to a node it does not know")
	}
	w.advance(time.Second)
	equal(t, "frames of the agent", n.frames, []string{"1", "2"})
	equal(t, "frames of the master", w.frames, []string{"n1:3"})
}

// Whatever was recorded on the wire before a restart, of either side, changes nothing when it is played again.
func TestRecordedMessagesAreWorthless(t *testing.T) {
	for name, restart := range map[string]func(*world){
		"agent restarts":  func(w *world) { w.nodes[0].restart() },
		"master restarts": (*world).restartMaster,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			n := w.addNode("n1")
			var recorded []bus.Packet
			w.seen = func(p bus.Packet) {
				if p.Up {
					recorded = append(recorded, p)
				}
			}
			w.bind("a", "u1", "n1")
			w.advance(2 * time.Second)
			if err := w.master.SendFrame("n1", []byte("old")); err != nil {
				t.Fatal(err)
			}
			if err := n.link.SendFrame([]byte("old")); err != nil {
				t.Fatal(err)
			}
			w.advance(time.Second)
			w.bind("b", "u2", "n1")
			w.seen = nil
			w.advance(time.Second)
			restart(w)
			w.advance(30 * time.Second)

			w.frames, n.frames = nil, nil
			documents, position := n.disk.documents, n.disk.position
			mallory := w.bus.Client(bus.ClientConfig{ID: "mallory"})
			w.connect(mallory)
			for round := 0; round < 2; round++ { // in order, and once more with everything known
				for _, p := range recorded {
					if err := mallory.Publish(p.Topic, p.Payload, p.QoS, p.Retain); err != nil {
						t.Fatal(err)
					}
					w.advance(50 * time.Millisecond)
				}
			}
			w.advance(30 * time.Second)
			equal(t, "the node runs", n.pods(), "a/u1 Running, b/u2 Running")
			equal(t, "the store shows", w.pods("n1"), "a/u1 Running, b/u2 Running")
			equal(t, "documents written", n.disk.documents, documents)
			equal(t, "position", n.disk.position, position)
			equal(t, "frames of the agent", len(n.frames), 0)
			equal(t, "frames of the master", len(w.frames), 0)
			if seen, _ := w.seenOf("n1"); !seen.Online {
				t.Error("a recorded will counts")
			}
		})
	}
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

// A desired state that does not fit into a message leaves the last one in place, with an event that says so.
func TestTooBig(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	noise := make([]byte, 600<<10)
	w.random.Read(noise)
	w.put(resource.ConfigMaps, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "big"}, BinaryData: map[string][]byte{"k": noise},
	})
	w.bind("b", "u2", "n1", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "big"},
		}}}
	})
	w.advance(time.Minute)
	equal(t, "the node runs", n.pods(), "a/u1 Running")
	var reasons []string
	for rec := range w.store.View().List(resource.Events.Kind, "") {
		e, err := resource.As[*corev1.Event](resource.Events, rec)
		if err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, e.InvolvedObject.Name+" "+e.Reason)
	}
	equal(t, "events", slices.Compact(reasons), []string{"n1 DesiredStateTooBig"})
	w.commit(change.Change{Key: resource.Pods.Key("default", "b")})
	w.bind("c", "u3", "n1")
	w.advance(time.Second)
	equal(t, "the node runs", n.pods(), "a/u1 Running, c/u3 Running")
}

// A desired state that does not fit is said once for each change, whatever its node sends: also to a master that
// has restarted, and so has no older document of its own.
func TestTooBigIsSaidOnce(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "big"}}
	grow := func() {
		noise := make([]byte, 600<<10)
		w.random.Read(noise)
		config.BinaryData = map[string][]byte{"k": noise}
		w.put(resource.ConfigMaps, config)
	}
	grow()
	w.bind("b", "u2", "n1", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "big"},
		}}}
	})
	said := func() (count int32) {
		for rec := range w.store.View().List(resource.Events.Kind, "") {
			e, err := resource.As[*corev1.Event](resource.Events, rec)
			if err != nil {
				t.Fatal(err)
			}
			count += e.Count
		}
		return count
	}
	n.restart() // its hello asks for a document
	w.advance(5 * time.Minute)
	equal(t, "times said", said(), 1)
	w.restartMaster()
	w.advance(5 * time.Minute)
	equal(t, "times said after a restart of the master", said(), 2)
	equal(t, "the node runs", n.pods(), "a/u1 Running")
	grow()
	w.advance(time.Minute)
	equal(t, "times said after another change", said(), 3)
	config.BinaryData = nil
	w.put(resource.ConfigMaps, config)
	w.advance(time.Minute)
	equal(t, "the node runs", n.pods(), "a/u1 Running, b/u2 Running")
}

// What is no message, or comes from no node, harms nobody.
func TestGarbage(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(2 * time.Second)
	mallory := w.bus.Client(bus.ClientConfig{ID: "mallory"})
	w.connect(mallory)
	for _, channel := range []string{
		protocol.Hello, protocol.Beat, protocol.Presence, protocol.Status, protocol.Response, protocol.Request, protocol.Desired,
	} {
		for _, node := range []string{"n1", "unknown", "UPPER_case"} {
			for _, payload := range [][]byte{{1}, []byte("no envelope at all, but long enough to be one"), seal.Write(seal.Run{Number: 9}, 1, []byte{0xff})} {
				if err := mallory.Publish(w.topics.Node(node, channel), payload, 1, false); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	w.advance(time.Minute)
	equal(t, "the node runs", n.pods(), "a/u1 Running")
	equal(t, "nodes", w.store.View().Count(resource.Nodes.Kind), 1)
}
