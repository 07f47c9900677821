package wire

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// keyOf is the record of a node's key.
func (w *world) keyOf(node string) resource.NodeKey {
	w.t.Helper()
	rec, _ := w.store.View().Get(change.Key{Kind: resource.NodeKeyKind, Name: node})
	key, err := resource.DecodeNodeKey(rec.Value)
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

// annotate asks for another key of a node.
func (w *world) annotate(node, value string) {
	w.t.Helper()
	rec, ok := w.store.View().Get(resource.Nodes.Key("", node))
	if !ok {
		w.t.Fatalf("%s has no object", node)
	}
	object, err := resource.As[*corev1.Node](resource.Nodes, rec)
	if err != nil {
		w.t.Fatal(err)
	}
	metav1.SetMetaDataAnnotation(&object.ObjectMeta, nodelink.RotateAnnotation, value)
	w.put(resource.Nodes, object)
}

// rotated checks that a rotation has come to its end: both sides have the same key, another one than before, no next
// one, and talk with it; the key before is worth nothing.
func (w *world) rotated(n *device, before *seal.Box, old [32]byte, value string) {
	w.t.Helper()
	key := w.keyOf(n.name)
	switch {
	case key.Key != n.keys.Public():
		w.t.Errorf("the master has the key %x, the node has %x", key.Key[:4], n.keys.Public())
	case key.Key == old:
		w.t.Error("it is still the old key")
	case key.Next != [32]byte{}:
		w.t.Errorf("there is still a next key, %x", key.Next[:4])
	case key.Rotated != value:
		w.t.Errorf("rotated for %q, not for %q", key.Rotated, value)
	}
	equal(w.t, "the node runs", n.pods(), "a/u1 Running")
	if seen, ok := w.seenOf(n.name); !ok || w.now.Boot-seen.HeardBoot > settings.Heartbeat() {
		w.t.Errorf("the node is not heard: %+v", seen)
	}
	refused := w.metric("skerry_nodelink_refused_total", "unreadable")
	thief := w.bus.Client(bus.ClientConfig{ID: "thief"})
	w.connect(thief)
	topic := w.topics.Node(n.name, protocol.Hello)
	raw := before.Seal(topic, seal.Run{Number: 999, Nonce: 1}, seal.Run{}, 1, message.Encode(message.Hello{Challenge: 1}))
	if err := thief.Publish(topic, raw, 1, false); err != nil {
		w.t.Fatal(err)
	}
	w.advance(time.Second)
	equal(w.t, "hellos with the old key that were refused", w.metric("skerry_nodelink_refused_total", "unreadable")-refused, 1.0)
}

// A node whose annotation changes gets another key while it is online, without a pod being touched; the retained
// document is sealed for the new key. The same value asks for nothing more.
func TestAKeyRotates(t *testing.T) {
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.bind("a", "u1", "n1")
	w.advance(12 * time.Second)
	before, old, documents, accepts := n.keys.Box(), n.keys.Public(), n.disk.documents, n.accepts
	w.annotate("n1", "1")
	w.advance(30 * time.Second)
	w.rotated(n, before, old, "1")
	equal(t, "documents written", n.disk.documents, documents)
	equal(t, "desired states accepted", n.accepts, accepts)
	equal(t, "pairs made", n.keys.Made, 2)
	if _, err := n.keys.Box().Open(w.topics.Node("n1", protocol.Desired), seal.Run{}, w.bus.Retained(w.topics.Node("n1", protocol.Desired))); err != nil {
		t.Errorf("the retained document can't be opened with the new key: %v", err)
	}
	if err := w.master.SendFrame("n1", []byte("x")); err != nil {
		t.Error(err)
	}
	w.advance(10 * time.Minute)
	equal(t, "frames", n.frames, []string{"x"})
	equal(t, "pairs made after ten minutes", n.keys.Made, 2)
	old, before = n.keys.Public(), n.keys.Box()
	w.annotate("n1", "2")
	w.advance(30 * time.Second)
	w.rotated(n, before, old, "2")
}

// Whoever crashes at whatever moment of a rotation, with what was on its way lost or not: it comes to its end.
func TestARotationSurvivesEveryCrash(t *testing.T) {
	type crash struct {
		agent, master, lost bool
		round               int
	}
	// play runs a rotation with one crash and returns the number of rounds that it had.
	play := func(t *testing.T, c crash) (rounds int) {
		w := newWorld(t, 1)
		n := w.addNode("n1")
		w.bind("a", "u1", "n1")
		w.advance(12 * time.Second)
		before, old := n.keys.Box(), n.keys.Public()
		w.annotate("n1", "1")
		end := w.now.Add(2 * time.Minute)
		for !w.now.Reached(end) {
			for w.round() {
				if key := w.keyOf("n1"); key.Key == old || key.Next != [32]byte{} {
					rounds++
				}
				if rounds != c.round {
					continue
				}
				c.round = -1 // once
				if c.lost {
					w.bus.Take()
				}
				if c.master {
					w.restartMaster()
				}
				if c.agent {
					n.restart()
				}
			}
			w.now = w.now.Add(max(time.Millisecond, min(w.next.Since(w.now), n.next.Since(w.now), end.Since(w.now))))
		}
		w.rotated(n, before, old, "1")
		return rounds
	}
	rounds := play(t, crash{round: -1})
	if rounds < 6 {
		t.Fatalf("a rotation has %d rounds", rounds)
	}
	for round := range rounds + 1 {
		for _, c := range []crash{
			{lost: true}, {agent: true}, {master: true}, {agent: true, master: true},
			{agent: true, lost: true}, {master: true, lost: true}, {agent: true, master: true, lost: true},
		} {
			c.round = round
			t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { play(t, c) })
		}
	}
}

// moody refuses one durable write.
type moody struct{ left int }

func (m *moody) Replicate(context.Context, change.Epoch, store.Batch) error {
	if m.left--; m.left == 0 {
		return errors.New("the disk is full")
	}
	return nil
}

// A write of the master that fails holds a rotation up, and no more.
func TestARotationSurvivesFailedWrites(t *testing.T) {
	for write := 1; write <= 6; write++ {
		t.Run(fmt.Sprintf("write %d of the master", write), func(t *testing.T) {
			w := newWorld(t, 1)
			disk := &moody{}
			w.line.Lose()
			w.store = store.NewMemory(store.Config{Schema: resource.Schema(), Epoch: w.store.Epoch().Next(), Replicator: disk})
			w.startMaster()
			n := w.addNode("n1")
			w.bind("a", "u1", "n1")
			w.advance(12 * time.Second)
			before, old := n.keys.Box(), n.keys.Public()
			w.annotate("n1", "1")
			disk.left = write
			w.advance(2 * time.Minute)
			w.rotated(n, before, old, "1")
		})
	}
}
