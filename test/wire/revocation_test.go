package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
)

// remove does what follows from the deletion of a Node.
func (w *world) remove(node string, at int64) {
	w.t.Helper()
	key := w.keyOf(node)
	key.Revoked = at
	w.commit(
		change.Change{Key: resource.Nodes.Key("", node)},
		change.Change{Key: change.Key{Kind: resource.NodeKeyKind, Name: node}, Value: resource.EncodeNodeKey(key)},
	)
}

// hellos counts what the node says on this channel from now on.
func (w *world) hellos(n *device) *int {
	count := 0
	w.seen = func(p bus.Packet) {
		if p.Up && p.Client == n.name && p.Topic == w.topics.Node(n.name, protocol.Hello) {
			count++
		}
	}
	return &count
}

// A node that is removed while it is connected is told at once. It stops its pods, takes their secrets off its disk,
// and gets no streams; the broker retains nothing for it any more.
func TestANodeIsRemoved(t *testing.T) {
	w := newWorld(t, 1)
	secret := []byte("correct horse battery staple")
	w.put(resource.Secrets, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "secret"}, Data: map[string][]byte{"password": secret},
	})
	n := w.addNode("n1")
	w.bind("a", "u1", "n1", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "secret"},
		}}}
	})
	w.advance(12 * time.Second)
	if !bytes.Contains(n.disk.content, secret) || w.bus.Retained(w.topics.Node("n1", protocol.Desired)) == nil {
		t.Fatal("the node does not run the pod")
	}
	w.remove("n1", 77)
	w.advance(time.Second)
	equal(t, "the node runs", n.pods(), "")
	equal(t, "what its link says", n.link.Health().Revoked, 77)
	if bytes.Contains(n.disk.content, secret) {
		t.Error("the secret is still on the node's disk")
	}
	if raw := w.bus.Retained(w.topics.Node("n1", protocol.Desired)); raw != nil {
		t.Errorf("the broker still retains %d bytes for the node", len(raw))
	}
	if err := w.master.SendFrame("n1", []byte("x")); !errors.Is(err, nodelink.ErrOffline) {
		t.Errorf("a frame: %v", err)
	}
	if err := n.link.SendFrame([]byte("x")); err == nil {
		t.Error("the node sends frames")
	}

	// It is quiet, though its connection and the master come and go.
	said := w.hellos(n)
	for range 10 {
		n.client.Lose()
		w.connect(n.client)
		w.advance(30 * time.Second)
	}
	w.restartMaster()
	w.advance(5 * time.Minute)
	if *said > 1 {
		t.Errorf("it said hello %d times in ten minutes", *said)
	}
	w.advance(2 * time.Hour)
	if *said > 1+120/11 {
		t.Errorf("it said hello %d times in two hours", *said)
	}
	equal(t, "nodes", w.store.View().Count(resource.Nodes.Kind), 0)
}

// A node that was cut off when it was removed learns of it by its next message, though it need not say hello: it does
// not know that there is anything to ask. The same holds when what it was told is lost.
func TestANodeIsRemovedWhileItIsAway(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(12 * time.Second)
	w.bus.Cut("n1", true, true)
	w.remove("n1", 77)
	w.advance(time.Minute)
	equal(t, "cut off it runs", n.pods(), "a/u1 Running")
	said := w.hellos(n)
	w.bus.Cut("n1", false, false)
	w.advance(12 * time.Second)
	equal(t, "then it runs", n.pods(), "")
	equal(t, "it was removed at", n.keys.RevokedAt, 77)
	equal(t, "hellos", *said, 0)
	if w.metric("skerry_nodelink_refused_total", "revoked") == 0 {
		t.Error("its heartbeats were not refused")
	}

	// Its containers would go on running if the next agent left them alone.
	accepts := n.accepts
	n.restart()
	w.advance(time.Second)
	equal(t, "after a restart it runs", n.pods(), "")
	if n.accepts == accepts {
		t.Error("the new agent does not stop what the last one left running")
	}
}

// A document that the broker retained while no master was there to take it back goes when one starts.
func TestWhatIsRetainedForARemovedNodeGoes(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(12 * time.Second)
	n.client.Lose()
	w.line.Lose()
	w.remove("n1", 77)
	w.restartMaster()
	w.advance(time.Second)
	if raw := w.bus.Retained(w.topics.Node("n1", protocol.Desired)); raw != nil {
		t.Errorf("the broker still retains %d bytes for the node", len(raw))
	}
}

// A node that joins again under its name, with another key, is a new one: what was recorded of the old one, its
// expulsion too, is worth nothing.
func TestARemovedNodeJoinsAgain(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(12 * time.Second)
	var recorded []bus.Packet
	w.seen = func(p bus.Packet) {
		if p.Up && (p.Client == "n1" || p.Topic == w.topics.Node("n1", protocol.Request)) {
			recorded = append(recorded, p)
		}
	}
	w.remove("n1", 77)
	w.advance(time.Second)
	n.restart()
	w.advance(time.Second)
	w.seen = nil
	if len(recorded) < 3 {
		t.Fatalf("%d messages were recorded", len(recorded))
	}
	n.keys = cluster.AnotherNode("n1", "n1 once more")
	w.join("n1", n.keys)
	n.restart()
	w.advance(time.Second)
	equal(t, "the node runs", n.pods(), "a/u1 Running")
	mallory := w.bus.Client(bus.ClientConfig{ID: "mallory"})
	w.connect(mallory)
	for _, p := range recorded {
		if err := mallory.Publish(p.Topic, p.Payload, p.QoS, p.Retain); err != nil {
			t.Fatal(err)
		}
	}
	w.advance(time.Minute)
	equal(t, "after the replay it runs", n.pods(), "a/u1 Running")
	equal(t, "it was removed at", n.keys.RevokedAt, 0)
	if err := w.master.SendFrame("n1", []byte("x")); err != nil {
		t.Error(err)
	}
}

// A Node that was deleted does not come back by its agent's reports, whether or not its key was revoked by then.
func TestADeletedNodeDoesNotComeBack(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.advance(12 * time.Second)
	if key := w.keyOf("n1"); key.Node == "" {
		t.Fatal("the key does not name its Node")
	}
	w.commit(change.Change{Key: resource.Nodes.Key("", "n1")})
	n.restart()
	n.memory++
	w.advance(time.Minute)
	equal(t, "nodes", w.store.View().Count(resource.Nodes.Kind), 0)
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
