package wire

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

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
	w.put(resource.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}})
	events := func() (out []string) {
		for rec := range w.store.View().List(resource.Events.Kind, "") {
			e, err := resource.As[*corev1.Event](resource.Events, rec)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, e.Reason)
		}
		slices.Sort(out)
		return out
	}
	w.advance(time.Minute)
	equal(t, "events at the start", strings.Join(events(), " "), "")
	w.bus.Cut("master", true, true)
	w.advance(26 * time.Second)
	equal(t, "events", strings.Join(events(), " "), "BrokerLost")
	if link, _ := w.seenOf(resource.LinkName); link.Online {
		t.Error("the line counts as up")
	}
	w.bus.Cut("master", false, false)
	w.advance(11 * time.Second)
	if link, _ := w.seenOf(resource.LinkName); !link.Online {
		t.Error("the line counts as down")
	}
	equal(t, "events", strings.Join(events(), " "), "BrokerLost BrokerReturned")
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
