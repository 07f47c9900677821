package wire

import (
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol"
)

// restored is a fleet whose master was restored from a backup that is one start old: pod c was bound since, and the
// epoch comes a second time. It returns what was sent to n1 in the epoch's first life, in order.
func restored(t *testing.T) (m *mallory, first [][]byte) {
	m = attacked(t)
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
