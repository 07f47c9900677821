package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// restored is a fleet whose master was restored from a backup that is one start old: pod c was bound since, and the
// epoch comes a second time. It returns what was sent to n1 in the epoch's first life, in order.
func restored(t *testing.T) (m *mallory, first [][]byte) {
	m = attacked(t)
	m.deaf = true
	backup, epoch := m.store.View(), m.store.Epoch().Next()
	m.restartMaster()
	before := len(m.heard[m.topic("n1", protocol.Desired)])
	m.advance(30 * time.Second)
	m.bind("c", "u3", "n1")
	m.advance(2 * time.Second)
	m.bind("d", "u4", "n1")
	m.advance(30 * time.Second)
	equal(t, "before, the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running, c/u3 Running, d/u4 Running")
	first = m.heard[m.topic("n1", protocol.Desired)][before:]
	if len(first) < 2 {
		t.Fatalf("%d desired states were sent in the epoch's first life", len(first))
	}
	m.restartMasterFrom(backup, epoch)
	m.advance(30 * time.Second)
	return m, first
}

// Whoever owns the broker can't pass off what was sent in an epoch's first life as that of its second, though its
// position is newer than all that the restored master has named.
func TestARestoredMastersFormerOrdersAreNotObeyed(t *testing.T) {
	m, first := restored(t)
	m.n1.disk = &disk{}
	m.n1.restart()
	m.advance(30 * time.Second)
	equal(t, "with an empty disk the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running")
	for _, raw := range first {
		m.put("n1", protocol.Desired, raw)
		m.advance(time.Second)
	}
	equal(t, "the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running")

	// Nor do they keep out what the master orders, when they come before the agent knows who leads.
	m.n1.disk = &disk{}
	m.put("n1", protocol.Desired, first[len(first)-1])
	m.n1.restart()
	m.advance(30 * time.Second)
	equal(t, "after a start with an old order the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running")
}

// A node that has applied more of an epoch than its master ever ordered shows that the master was restored. It goes on
// with what it has until the master begins an epoch that is new, and then obeys.
func TestANodeObeysARestoredMasterInANewEpoch(t *testing.T) {
	m, _ := restored(t)
	equal(t, "the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running, c/u3 Running, d/u4 Running")
	sent := m.heard[m.topic("n1", protocol.Desired)]
	m.advance(10 * time.Minute)
	equal(t, "documents sent in vain", len(m.heard[m.topic("n1", protocol.Desired)])-len(sent), 0)
	m.restartMaster()
	m.advance(30 * time.Second)
	equal(t, "in a new epoch the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running")
}

// events are the reasons of the warnings about a node, with what they say.
func (w *world) events(node string) (out []string) {
	for rec := range w.store.View().List(resource.Events.Kind, "") {
		e, err := resource.As[*corev1.Event](resource.Events, rec)
		if err != nil {
			w.t.Fatal(err)
		}
		if e.InvolvedObject.Name == node {
			out = append(out, e.Reason+": "+e.Message)
		}
	}
	return out
}

// A master that was restored from an old backup, on its own, gets above the epoch that its nodes have seen as soon as one
// says hello, and says so. They obey it then, and what they run goes on but for what it does not know.
func TestARestoredMasterGetsAboveItsNodes(t *testing.T) {
	m := attacked(t)
	backup, epoch := m.store.View(), m.store.Epoch().Next()
	for range 3 {
		m.restartMaster()
		m.advance(30 * time.Second)
	}
	m.bind("c", "u3", "n1")
	m.advance(30 * time.Second)
	last := m.store.Epoch()
	m.restartMasterFrom(backup, epoch)
	m.advance(2 * time.Minute)
	equal(t, "the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running")
	if now := m.store.Epoch(); !last.Less(now) {
		t.Errorf("the master is in %s, its nodes have seen %s", now, last)
	}
	settled := m.store.Epoch()
	m.bind("d", "u4", "n1")
	m.advance(time.Hour)
	equal(t, "the node runs what comes", m.n1.pods(), "a/u1 Running, b/u2 Running, d/u4 Running")
	equal(t, "the epoch stays", m.store.Epoch().String(), settled.String())
	said := strings.Join(append(m.events("n1"), m.events("n2")...), "\n") // whichever came first
	if !strings.Contains(said, "EpochAdvanced: This node had seen epoch "+last.String()) {
		t.Errorf("events: %s", said)
	}
}

// The same with a master whose epoch comes a second time: a node that has applied more of it shows that.
func TestAnEpochThatComesTwiceIsLeft(t *testing.T) {
	m := attacked(t)
	backup, epoch := m.store.View(), m.store.Epoch().Next()
	m.restartMaster()
	m.advance(30 * time.Second)
	m.bind("c", "u3", "n1")
	m.advance(2 * time.Second)
	m.bind("d", "u4", "n1")
	m.advance(30 * time.Second)
	m.restartMasterFrom(backup, epoch)
	m.advance(time.Minute)
	equal(t, "the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running")
	equal(t, "epoch", m.store.Epoch().String(), epoch.Next().String())
}

// Who has stolen a device's key makes the master neither take a term from the end of all terms nor begin epochs all the
// time, whatever he claims to have seen; what he claims is said. A recorded hello does nothing at all.
func TestAStolenKeyUsesUpNoEpochs(t *testing.T) {
	m := attacked(t)
	before := m.store.Epoch()
	claim := func(n uint64, highest message.Epoch) {
		hello := message.Hello{Challenge: n, BootID: "b", Highest: highest, Version: "v"}
		m.put("n2", protocol.Hello, m.n2.keys.Box().Seal(m.topic("n2", protocol.Hello), seal.Run{Number: 9, Nonce: n}, seal.Run{}, 1, message.Encode(hello)))
	}
	claim(1, message.Epoch{Term: 1<<32 - 1, Start: 7})
	m.advance(time.Minute)
	equal(t, "after the highest of all", m.store.Epoch().String(), before.String())
	if said := strings.Join(m.events("n2"), "\n"); !strings.Contains(said, "EpochNotBelieved: This node claims to have seen epoch 4294967295.7") {
		t.Errorf("events: %s", said)
	}
	begun := 0
	for n := range uint64(600) { // ten minutes of claims that could be
		was := m.store.Epoch()
		claim(2+n, message.Epoch{Term: was.Term + 1000})
		m.advance(time.Second)
		if m.store.Epoch() != was {
			begun++
		}
	}
	equal(t, "epochs begun in ten minutes", fmt.Sprint(begun), "4")
	raised := m.store.Epoch()
	m.advance(time.Hour)
	claim(1000, message.Epoch{Start: 1}) // as one that was recorded
	m.advance(time.Minute)
	equal(t, "after what is old", m.store.Epoch().String(), raised.String())
	m.bind("e", "u5", "n1")
	m.advance(time.Minute)
	if runs := m.n1.pods(); !strings.Contains(runs, "e/u5 Running") {
		t.Errorf("another node runs %s", runs)
	}
	if raised.Less(change.Epoch{Term: before.Term + 1000}) {
		t.Errorf("nothing was tested: epoch %s", raised)
	}
}
