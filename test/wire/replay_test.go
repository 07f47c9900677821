package wire

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
)

// What was recorded before a restart of either side is refused after it, also what nobody has seen yet.
func TestWhatWasRecordedBeforeARestart(t *testing.T) {
	for _, c := range []struct {
		restarts, channel, by, because string
	}{
		{"agent", protocol.Request, "agent", "unreadable"},
		{"agent", protocol.Beat, "master", "unknown_run"},
		{"agent", protocol.Status, "master", "unknown_run"},
		{"agent", protocol.Response, "master", "unknown_run"},
		{"master", protocol.Request, "agent", "unknown_run"},
		{"master", protocol.Beat, "master", "unreadable"},
		{"master", protocol.Status, "master", "unreadable"},
		{"master", protocol.Response, "master", "unreadable"},
		{"master", protocol.Hello, "master", "repeated"},
	} {
		t.Run(c.channel+" before a restart of the "+c.restarts, func(t *testing.T) {
			m := attacked(t)
			old := m.last("n1", c.channel)
			if c.restarts == "agent" {
				m.n1.restart()
			} else {
				m.restartMaster()
			}
			m.advance(30 * time.Second)
			refused := func() float64 {
				if c.by == "master" {
					return m.metric("skerry_nodelink_refused_total", c.because)
				}
				return float64(m.n1.link.Health().Refused[c.because])
			}
			before := refused()
			m.put("n1", c.channel, old)
			m.advance(time.Second)
			equal(t, "refused by the "+c.by+" as "+c.because, refused()-before, 1.0)
			equal(t, "frames of the agent", m.n1.frames, nil)
			equal(t, "frames of the master", m.frames, nil)
			equal(t, "the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running")
		})
	}
}

// A hello that was recorded in an earlier run of the agent is answered, to that run: nobody can do anything with the
// answer, and the current run goes on.
func TestAnOldHelloIsAnsweredToNobody(t *testing.T) {
	m := attacked(t)
	old := m.last("n1", protocol.Hello)
	m.n1.restart()
	m.advance(30 * time.Second)
	before := m.n1.link.Health().Refused["unreadable"]
	m.put("n1", protocol.Hello, old)
	m.advance(30 * time.Second)
	equal(t, "answers that the agent could not open", m.n1.link.Health().Refused["unreadable"]-before, 1)
	if err := m.master.SendFrame("n1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	m.advance(time.Second)
	equal(t, "frames of the agent", m.n1.frames, []string{"x"})
}

// The heartbeats of a node that is dead don't make it live.
func TestADeadNodeStaysDead(t *testing.T) {
	m := attacked(t)
	m.n1.client.Lose()
	m.bus.Drop("n1")
	m.nodes = slices.DeleteFunc(m.nodes, func(d *device) bool { return d == m.n1 })
	m.advance(time.Minute)
	dead, _ := m.seenOf("n1")
	for range 3 {
		for _, channel := range []string{protocol.Beat, protocol.Status, protocol.Response, protocol.Hello, protocol.Presence} {
			for _, raw := range m.heard[m.topic("n1", channel)] {
				m.put("n1", channel, raw)
			}
		}
		m.advance(time.Minute)
	}
	seen, _ := m.seenOf("n1")
	equal(t, "what is known of n1", seen, dead)
}

// A node is not rolled back to an older desired state, though the broker retains nothing else for it and the agent
// begins anew.
func TestNoNodeIsRolledBack(t *testing.T) {
	m := attacked(t)
	old := m.heard[m.topic("n1", protocol.Desired)]
	if len(old) < 3 { // nothing, a, a and b
		t.Fatalf("%d desired states were sent", len(old))
	}
	documents, position := m.n1.disk.documents, m.n1.disk.position
	for _, raw := range old {
		m.put("n1", protocol.Desired, raw)
		m.advance(time.Second)
	}
	m.put("n1", protocol.Desired, old[0])
	m.n1.restart()
	m.advance(time.Minute)
	equal(t, "the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running")
	equal(t, "position", m.n1.disk.position, position)
	equal(t, "documents written", m.n1.disk.documents, documents)

	// Nor when it lost its disk, and with it the memory of what it ran.
	m.n1.disk = &disk{}
	m.put("n1", protocol.Desired, old[1])
	m.n1.restart()
	m.advance(time.Minute)
	equal(t, "with an empty disk the node runs", m.n1.pods(), "a/u1 Running, b/u2 Running")
	equal(t, "documents written to the empty disk", m.n1.disk.documents, 1)
}

// Messages that the broker holds back and hands over in another order: what was overtaken is refused.
func TestReorderedFramesAreRefused(t *testing.T) {
	m := attacked(t)
	m.bus.Cut("n1", true, true) // what is sent meanwhile is heard and goes no further
	for _, frame := range []string{"1", "2", "3"} {
		if err := m.n1.link.SendFrame([]byte(frame)); err != nil {
			t.Fatal(err)
		}
		if err := m.master.SendFrame("n1", []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	m.advance(time.Second)
	m.bus.Cut("n1", false, false)
	up, down := m.heard[m.topic("n1", protocol.Response)], m.heard[m.topic("n1", protocol.Request)]
	for _, i := range []int{2, 3, 1} { // from the end: the second, the first, the third
		m.put("n1", protocol.Response, up[len(up)-i])
		m.put("n1", protocol.Request, down[len(down)-i])
		m.advance(time.Second)
	}
	equal(t, "frames of the master", m.frames, []string{"n1:2", "n1:3"})
	equal(t, "frames of the agent", m.n1.frames, []string{"2", "3"})
	equal(t, "refused by the master", m.metric("skerry_nodelink_refused_total", "repeated"), 1.0)
	equal(t, "refused by the agent", m.n1.link.Health().Refused["repeated"], 1)
}

// Probes that the master did not send just now prove nothing: its line counts as down.
func TestForgedProbesProveNothing(t *testing.T) {
	m := attacked(t)
	var probe string
	for topic := range m.heard {
		if strings.Contains(topic, "/m/probe/") {
			probe = topic
		}
	}
	recorded := m.heard[probe]
	if len(recorded) == 0 {
		t.Fatal("there was no probe")
	}
	_, master := m.runs()
	m.bus.Cut("master", true, false) // nothing of the master's goes out any more
	for range 30 {
		forged := m.n2.keys.Box().Seal(probe, master, master, 1<<40, []byte{0xa1, 1, 0x1b, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0})
		for _, raw := range append([][]byte{forged, m.clear(master, map[int]int{1: 1 << 60})}, recorded...) {
			if err := m.client.Publish(probe, raw, 1, false); err != nil {
				t.Fatal(err)
			}
		}
		for _, channel := range []string{protocol.Hello, protocol.Beat, protocol.Presence} {
			m.put("n1", channel, m.last("n1", channel))
		}
		for _, d := range []*device{m.n1, m.n2} {
			d.client.Lose() // the nodes' own messages would prove it
		}
		m.advance(time.Second)
	}
	if link, _ := m.seenOf(resource.LinkName); link.Online {
		t.Error("the line counts as up")
	}
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
