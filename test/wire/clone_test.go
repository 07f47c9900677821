package wire

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// A card that was cloned, or a backup that was restored on another machine, is a second device with one identity. Users
// are told; neither device reads what is for the other, and no two messages are sealed with one key and one number,
// though both count their runs and messages alike.
func TestTwoDevicesWithOneIdentity(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(12 * time.Second)

	type use struct {
		sender   seal.Run
		sequence uint64
	}
	used := map[use][]byte{}
	w.seen = func(p bus.Packet) {
		e, err := seal.Parse(p.Payload)
		if err != nil || !p.Up || p.Client != "n1" {
			return
		}
		id := use{e.Sender, e.Sequence} // one counter serves all topics
		if before, ok := used[id]; ok && string(before) != string(p.Payload) {
			t.Errorf("two messages of run %s have the number %d", e.Sender, e.Sequence)
		}
		used[id] = p.Payload
	}
	clone := &device{w: w, name: "n1", keys: cluster.NewNode("n1"), memory: n.memory, run: n.run - 1}
	content := *n.disk
	clone.disk = &content
	w.nodes = append(w.nodes, clone)
	clone.start() // which takes the connection over
	equal(t, "runs", clone.run, n.run)
	w.advance(12 * time.Second)
	for range 3 {
		for _, d := range []*device{n, clone} {
			w.connect(d.client)
			w.advance(12 * time.Second)
			n.frames, clone.frames = nil, nil
			if err := w.master.SendFrame("n1", []byte("for one")); err != nil {
				t.Fatal(err)
			}
			w.advance(time.Second)
			equal(t, "frames", len(n.frames)+len(clone.frames), 1)
			equal(t, "frames of the one that is connected", d.frames, []string{"for one"})
		}
	}
	if len(used) < 20 {
		t.Errorf("%d messages were looked at", len(used))
	}
	said := int32(0)
	for rec := range w.store.View().List(resource.Events.Kind, "") {
		e, err := resource.As[*corev1.Event](resource.Events, rec)
		if err != nil {
			t.Fatal(err)
		}
		if e.Reason == "DuplicateIdentity" && e.InvolvedObject.Name == "n1" {
			said += e.Count
		}
	}
	if said == 0 {
		t.Error("nobody was told")
	}
}

// A key that changes shuts out the card that was cloned before.
func TestACloneIsShutOutByAnotherKey(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.advance(12 * time.Second)
	clone := &device{w: w, name: "n1", keys: cluster.NewNode("n1"), memory: n.memory, run: n.run}
	content := *n.disk
	clone.disk = &content
	w.annotate("n1", "1")
	w.advance(30 * time.Second)
	if w.keyOf("n1").Key == clone.keys.Public() {
		t.Fatal("the key has not changed")
	}
	w.nodes = append(w.nodes, clone)
	before := w.metric("skerry_nodelink_refused_total", "unreadable")
	clone.start()
	w.advance(time.Minute)
	equal(t, "the clone was welcomed", clone.link.Health().Welcomed, false)
	if w.metric("skerry_nodelink_refused_total", "unreadable") == before {
		t.Error("its hellos were not refused")
	}
	w.connect(n.client)
	w.advance(12 * time.Second)
	equal(t, "the node was welcomed", n.link.Health().Welcomed, true)
	if _, err := n.keys.Box().Open(w.topics.Node("n1", protocol.Desired), seal.Run{}, w.bus.Retained(w.topics.Node("n1", protocol.Desired))); err != nil {
		t.Error(err)
	}
}
