package wire

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
)

// label sets or removes the label of a node's link.
func (w *world) label(node, link string) {
	rec, ok := w.store.View().Get(resource.Nodes.Key("", node))
	if !ok {
		w.t.Fatalf("%s is not there", node)
	}
	object, err := resource.As[*corev1.Node](resource.Nodes, rec)
	if err != nil {
		w.t.Fatal(err)
	}
	if object.Labels == nil {
		object.Labels = map[string]string{}
	}
	if delete(object.Labels, resource.LabelLink); link != "" {
		object.Labels[resource.LabelLink] = link
	}
	w.put(resource.Nodes, object)
}

// beats is how many heartbeats a node sends in five minutes.
func (w *world) beats(node string) (n int) {
	w.seen = func(p bus.Packet) {
		if p.Up && p.Client == node && strings.HasSuffix(p.Topic, "/hb") {
			n++
		}
	}
	w.advance(5 * time.Minute)
	w.seen = nil
	return n
}

func (w *world) slow(node string) bool {
	seen, _ := w.seenOf(node)
	return seen.Slow
}

// A node whose link is metered is told so while it runs, and sends half the heartbeats. When the label goes it counts
// as slow until it has shown that it knows, however long what it is told gets lost.
func TestAMeteredLink(t *testing.T) {
	slow := message.Settings{HeartbeatMillis: 20_000, TimeoutMillis: 60_000}
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.advance(time.Minute)
	if got := w.beats("n1"); got < 30 || got > 32 {
		t.Errorf("%d heartbeats in five minutes", got)
	}
	w.label("n1", resource.LinkMetered)
	w.advance(time.Second)
	equal(t, "settings with the label", n.link.Health().Settings, slow)
	if got := w.beats("n1"); got < 15 || got > 17 || !w.slow("n1") {
		t.Errorf("metered: %d heartbeats in five minutes, slow %v", got, w.slow("n1"))
	}

	w.bus.Cut("n1", false, true) // it hears nothing
	w.label("n1", "")
	w.advance(2 * time.Minute)
	equal(t, "settings without the label, not heard", n.link.Health().Settings, slow)
	equal(t, "it counts as slow", w.slow("n1"), true)
	w.bus.Cut("n1", false, false)
	w.advance(21 * time.Second)
	equal(t, "settings without the label", n.link.Health().Settings, settings)
	w.advance(11 * time.Second)
	equal(t, "it counts as slow", w.slow("n1"), false)
	if got := w.beats("n1"); got < 30 || got > 32 {
		t.Errorf("no longer metered: %d heartbeats in five minutes", got)
	}
}

// A node that restarts goes by what is on its disk before anybody has answered, and a master that restarts gives and
// expects the times of the label.
func TestAMeteredLinkAndRestarts(t *testing.T) {
	slow := message.Settings{HeartbeatMillis: 20_000, TimeoutMillis: 60_000}
	w := newWorld(t, 1)
	n := w.addNode("n1")
	w.advance(time.Second)
	w.label("n1", resource.LinkMetered)
	w.advance(time.Minute)
	w.bus.Cut("n1", true, true)
	n.restart()
	w.advance(time.Second)
	equal(t, "settings from the disk", n.link.Health().Settings, slow)
	w.bus.Cut("n1", false, false)
	w.connect(n.client)
	w.advance(time.Minute)
	equal(t, "settings", n.link.Health().Settings, slow)
	w.restartMaster()
	w.advance(time.Minute)
	equal(t, "settings of the next master", n.link.Health().Settings, slow)
	equal(t, "it counts as slow", w.slow("n1"), true)
	w.label("n1", "")
	w.restartMaster() // the label goes with the master: the next one tells the node before it believes it
	w.advance(time.Minute)
	equal(t, "settings without the label", n.link.Health().Settings, settings)
	equal(t, "it counts as slow", w.slow("n1"), false)
}

// What a status that was lost says is in the store within one heartbeat interval: the heartbeat's digest shows it, and
// the complete status follows at once.
func TestALostStatusIsRepairedWithinAnInterval(t *testing.T) {
	for seed := range int64(10) {
		w := newWorld(t, seed)
		n := w.addNode("n1")
		w.bind("a", "u1", "n1")
		w.advance(time.Minute + time.Duration(seed)*time.Second)
		equal(t, "the store shows", w.pods("n1"), "a/u1 Running")
		w.bus.Cut("n1", true, false)
		n.wanted["u1"].Status.Phase = corev1.PodSucceeded
		n.version++
		n.woken = true
		w.advance(time.Second / 10)
		w.bus.Cut("n1", false, false)
		equal(t, "the store shows, while it is lost", w.pods("n1"), "a/u1 Running")
		w.advance(settings.Heartbeat())
		equal(t, "the store shows after an interval", w.pods("n1"), "a/u1 Succeeded")
	}
}
