package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Whoever is not in the cluster costs the master neither memory nor objects.
func TestStrangersLeaveNoTrace(t *testing.T) {
	m := attacked(t)
	before := m.metric("skerry_nodelink_refused_total", "no_key")
	key := cluster.NewNode("stranger")
	for i := range 1000 {
		node := "stranger-" + strings.Repeat("x", i%40)
		m.put(node, protocol.Hello, key.Box().Seal(m.topic(node, protocol.Hello), seal.Run{Number: 1}, seal.Run{}, 1, message.Encode(message.Hello{})))
	}
	m.advance(time.Minute)
	equal(t, "refused", m.metric("skerry_nodelink_refused_total", "no_key")-before, 1000.0)
	equal(t, "nodes", m.store.View().Count(resource.Nodes.Kind), 2)
	equal(t, "records of what was seen", m.store.View().Count(resource.SeenKind), 3)
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
