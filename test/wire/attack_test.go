package wire

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

// mallory owns the broker: she has a copy of every message and may put any on any topic. She also has a node of her own
// in the cluster, n2, and so a good key, and the cluster's public ones.
type mallory struct {
	*world
	client *bus.Client
	heard  map[string][][]byte // payloads by topic, in order
	n1, n2 *device
}

// attacked is a cluster in which everything has been said once: pods a and b run on n1, z on n2, frames went both ways.
func attacked(t *testing.T) *mallory {
	w := newWorld(t, 1)
	m := &mallory{world: w, heard: map[string][][]byte{}, client: w.bus.Client(bus.ClientConfig{ID: "mallory"})}
	w.connect(m.client)
	w.seen = func(p bus.Packet) {
		if p.Up && p.Client != "mallory" {
			m.heard[p.Topic] = append(m.heard[p.Topic], p.Payload)
		}
	}
	m.n1, m.n2 = w.addNode("n1"), w.addNode("n2")
	w.bind("a", "u1", "n1")
	w.bind("z", "u9", "n2")
	w.advance(2 * time.Second)
	w.bind("b", "u2", "n1")
	w.advance(12 * time.Second)
	for _, d := range []*device{m.n1, m.n2} {
		if err := w.master.SendFrame(d.name, []byte("rm -rf /")); err != nil {
			t.Fatal(err)
		}
		if err := d.link.SendFrame([]byte("output")); err != nil {
			t.Fatal(err)
		}
	}
	w.advance(time.Second)
	w.frames, m.n1.frames, m.n2.frames = nil, nil, nil
	return m
}

func (m *mallory) topic(node, channel string) string { return m.topics.Node(node, channel) }

// last is the newest payload of a channel.
func (m *mallory) last(node, channel string) []byte {
	m.t.Helper()
	all := m.heard[m.topic(node, channel)]
	if len(all) == 0 {
		m.t.Fatalf("nothing was said on %s of %s", channel, node)
	}
	return all[len(all)-1]
}

func (m *mallory) put(node, channel string, payload []byte) {
	m.t.Helper()
	topic := m.topic(node, channel)
	if err := m.client.Publish(topic, payload, 1, channel == protocol.Desired || channel == protocol.Presence); err != nil {
		m.t.Fatal(err)
	}
}

// runs are those of n1's agent and of the master, which stand in every header.
func (m *mallory) runs() (agent, master seal.Run) {
	m.t.Helper()
	a, errA := seal.Parse(m.last("n1", protocol.Beat))
	b, errB := seal.Parse(m.last("n1", protocol.Request))
	if errA != nil || errB != nil {
		m.t.Fatal(errA, errB)
	}
	return a.Sender, b.Sender
}

// clear and own are messages for n1's topics: not sealed at all, and sealed with the key of n2. Their numbers are
// far ahead.
func (m *mallory) clear(sender seal.Run, body any) []byte {
	return seal.Write(sender, 1<<40, message.Encode(body))
}

func (m *mallory) own(channel string, sender, receiver seal.Run, body any) []byte {
	return m.n2.keys.Box().Seal(m.topic("n1", channel), sender, receiver, 1<<40, message.Encode(body))
}

// gone is a status that would delete pod a if it were believed, order a document that would stop all pods.
var gone = message.Status{Complete: true, Pods: []message.PodStatus{{UID: "u1", Namespace: "default", Name: "a", Gone: true}}}

func (m *mallory) order() message.Desired {
	position := m.n1.disk.position
	position.Serial += 10
	doc, err := message.NewPacker().Pack(position, message.Encode(message.Content{}))
	if err != nil {
		m.t.Fatal(err)
	}
	return doc
}

// TestTheBrokersOwnerGetsNothing lets the owner of the broker forge, replay, reorder and swap. Each attack is refused
// and counted, by the end that it was meant for, and nothing comes of it.
func TestTheBrokersOwnerGetsNothing(t *testing.T) {
	const (
		byMaster = "master"
		byAgent  = "agent"
		status   = protocol.Status
		beat     = protocol.Beat
		res      = protocol.Response
		req      = protocol.Request
		desired  = protocol.Desired
		hello    = protocol.Hello
		presence = protocol.Presence
	)
	for _, attack := range []struct {
		what    string
		do      func(m *mallory, agent, master seal.Run)
		by      string
		because string
	}{
		// Forged.
		{"a status in the clear, in the name of the current run", func(m *mallory, agent, _ seal.Run) {
			m.put("n1", status, m.clear(agent, gone))
		}, byMaster, "unreadable"},
		{"a status that is sealed with another node's key", func(m *mallory, agent, master seal.Run) {
			m.put("n1", status, m.own(status, agent, master, gone))
		}, byMaster, "unreadable"},
		{"a hello that is sealed with another node's key", func(m *mallory, agent, _ seal.Run) {
			m.put("n1", hello, m.own(hello, agent, seal.Run{}, message.Hello{Challenge: 5}))
		}, byMaster, "unreadable"},
		{"a will that is sealed with another node's key", func(m *mallory, agent, _ seal.Run) {
			m.put("n1", presence, m.own(presence, agent, seal.Run{}, message.Presence{Connection: 1}))
		}, byMaster, "unreadable"},
		{"a hello of a node that never joined", func(m *mallory, _, _ seal.Run) {
			key := sealtest.NewCluster("default").NewNode("n3")
			m.put("n3", hello, key.Box().Seal(m.topic("n3", hello), seal.Run{Number: 1}, seal.Run{}, 1, message.Encode(message.Hello{Challenge: 5})))
		}, byMaster, "no_key"},
		{"a command in the clear, in the name of the leader's run", func(m *mallory, _, master seal.Run) {
			m.put("n1", req, m.clear(master, message.Request{Frame: []byte("rm -rf /")}))
		}, byAgent, "unreadable"},
		{"a command that is sealed with another node's key", func(m *mallory, agent, master seal.Run) {
			m.put("n1", req, m.own(req, master, agent, message.Request{Frame: []byte("rm -rf /")}))
		}, byAgent, "unreadable"},
		{"an expulsion that is sealed with another node's key", func(m *mallory, agent, master seal.Run) {
			m.put("n1", req, m.own(req, master, agent, message.Request{Revoked: &message.Revoked{Time: 1}}))
		}, byAgent, "unreadable"},
		{"a desired state in the clear", func(m *mallory, _, master seal.Run) {
			m.put("n1", desired, m.clear(master, m.order()))
		}, byAgent, "unreadable"},
		{"a desired state that is sealed with another node's key", func(m *mallory, _, master seal.Run) {
			m.put("n1", desired, m.own(desired, master, seal.Run{}, m.order()))
		}, byAgent, "unreadable"},
		{"a leader of one's own", func(m *mallory, agent, _ seal.Run) {
			body := message.Leader{Epoch: message.Epoch{Term: 9}, Master: "mallory"}
			_, key, err := ed25519.GenerateKey(strings.NewReader(strings.Repeat("mallory ", 8)))
			if err != nil {
				m.t.Fatal(err)
			}
			body.Signature = ed25519.Sign(key, body.SigningInput(m.topics.Leader(), 7, 7))
			raw := seal.Write(seal.Run{Number: 7, Nonce: 7}, 1, message.Encode(body))
			if err := m.client.Publish(m.topics.Leader(), raw, 1, true); err != nil {
				m.t.Fatal(err)
			}
		}, byAgent, "bad_signature"},
		{"the leader's own signature under another run", func(m *mallory, _, _ seal.Run) {
			all := m.heard[m.topics.Leader()]
			e, err := seal.Read(all[len(all)-1])
			if err != nil {
				m.t.Fatal(err)
			}
			if err := m.client.Publish(m.topics.Leader(), seal.Write(seal.Run{Number: 7, Nonce: 7}, 1, e.Body), 1, true); err != nil {
				m.t.Fatal(err)
			}
		}, byAgent, "bad_signature"},

		// Changed.
		{"a heartbeat with another number", func(m *mallory, _, _ seal.Run) {
			raw := bytes.Clone(m.last("n1", beat))
			raw[20]++
			m.put("n1", beat, raw)
		}, byMaster, "unreadable"},
		{"a status with its last bit turned", func(m *mallory, _, _ seal.Run) {
			raw := bytes.Clone(m.last("n1", status))
			raw[len(raw)-1] ^= 1
			m.put("n1", status, raw)
		}, byMaster, "unreadable"},
		{"a command that is cut off", func(m *mallory, _, _ seal.Run) {
			raw := m.last("n1", req)
			m.put("n1", req, raw[:len(raw)-1])
		}, byAgent, "unreadable"},
		{"a status without even a header", func(m *mallory, _, _ seal.Run) {
			m.put("n1", status, []byte{2, 0, 0})
		}, byMaster, "malformed"},

		// Replayed, and moved about.
		{"a heartbeat once more", func(m *mallory, _, _ seal.Run) { m.put("n1", beat, m.last("n1", beat)) }, byMaster, "repeated"},
		{"an old status", func(m *mallory, _, _ seal.Run) { m.put("n1", status, m.heard[m.topic("n1", status)][0]) }, byMaster, "repeated"},
		{"a hello once more", func(m *mallory, _, _ seal.Run) { m.put("n1", hello, m.last("n1", hello)) }, byMaster, "repeated"},
		{"a command once more", func(m *mallory, _, _ seal.Run) { m.put("n1", req, m.last("n1", req)) }, byAgent, "repeated"},
		{"a heartbeat on another topic of its node", func(m *mallory, _, _ seal.Run) { m.put("n1", res, m.last("n1", beat)) }, byMaster, "unreadable"},
		{"a status as a will", func(m *mallory, _, _ seal.Run) { m.put("n1", presence, m.last("n1", status)) }, byMaster, "unreadable"},
		{"what the master said, as the node's answer", func(m *mallory, _, _ seal.Run) { m.put("n1", res, m.last("n1", req)) }, byMaster, "unknown_run"},
		{"what the node said, as the master's command", func(m *mallory, _, _ seal.Run) { m.put("n1", req, m.last("n1", res)) }, byAgent, "unreadable"},
		{"a status of another node", func(m *mallory, _, _ seal.Run) { m.put("n1", status, m.last("n2", status)) }, byMaster, "unknown_run"},
		{"a hello of another node", func(m *mallory, _, _ seal.Run) { m.put("n1", hello, m.last("n2", hello)) }, byMaster, "unreadable"},
		{"a command for another node", func(m *mallory, _, _ seal.Run) { m.put("n1", req, m.last("n2", req)) }, byAgent, "unreadable"},
		{"the desired state of another node", func(m *mallory, _, _ seal.Run) { m.put("n1", desired, m.last("n2", desired)) }, byAgent, "unreadable"},
		{"a command as a desired state", func(m *mallory, _, _ seal.Run) { m.put("n1", desired, m.last("n1", req)) }, byAgent, "unreadable"},
		{"a desired state as a command", func(m *mallory, _, _ seal.Run) { m.put("n1", req, m.last("n1", desired)) }, byAgent, "unreadable"},
	} {
		t.Run(attack.what, func(t *testing.T) {
			m := attacked(t)
			agent, master := m.runs()
			refused := func() float64 {
				if attack.by == byMaster {
					return m.metric("skerry_nodelink_refused_total", attack.because)
				}
				return float64(m.n1.link.Health().Refused[attack.because])
			}
			before, documents, position := refused(), m.n1.disk.documents, m.n1.disk.position
			attack.do(m, agent, master)
			m.advance(20 * time.Second)
			if got := refused() - before; got != 1 {
				t.Errorf("the %s has refused %v messages as %s, not one", attack.by, got, attack.because)
			}
			equal(t, "n1 runs", m.n1.pods(), "a/u1 Running, b/u2 Running")
			equal(t, "the store shows", m.pods("n1"), "a/u1 Running, b/u2 Running")
			equal(t, "nodes", m.store.View().Count(resource.Nodes.Kind), 2)
			equal(t, "documents written", m.n1.disk.documents, documents)
			equal(t, "position", m.n1.disk.position, position)
			equal(t, "frames of the agent", m.n1.frames, nil)
			equal(t, "frames of the master", m.frames, nil)
			equal(t, "the node was removed", m.n1.keys.RevokedAt, 0)
			if seen, _ := m.seenOf("n1"); !seen.Online {
				t.Error("n1 counts as offline")
			}
		})
	}
}

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

// TestTheBrokerReadsNothing opens everything that was said with the keys of both sides, and looks for what it finds in
// what the broker has seen: no eight bytes of any message are there. What is said twice looks different.
func TestTheBrokerReadsNothing(t *testing.T) {
	w := newWorld(t, 1)
	type sent struct {
		topic   string
		payload []byte
	}
	var all []sent
	w.seen = func(p bus.Packet) {
		if p.Up {
			all = append(all, sent{p.Topic, p.Payload})
		}
	}
	secret := strings.Repeat("correct horse battery staple", 3)
	w.put(resource.Secrets, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "secret"}, Data: map[string][]byte{"password": []byte(secret)},
	})
	n := w.addNode("n1")
	w.bind("a", "u1", "n1", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "secret"},
		}}}
	})
	w.advance(2 * time.Second)
	if err := w.master.SendFrame("n1", []byte(secret)); err != nil {
		t.Fatal(err)
	}
	if err := n.link.SendFrame([]byte(secret)); err != nil {
		t.Fatal(err)
	}
	n.client.Lose()
	w.bus.Drop("n1")
	w.connect(n.client)
	w.advance(time.Minute)

	var agent, master seal.Run
	for _, s := range all {
		e, err := seal.Parse(s.payload)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(s.topic, "/"+protocol.Hello) {
			agent = e.Sender
		}
		if s.topic == w.topics.Leader() {
			master = e.Sender
		}
	}
	opened, carried := map[string]int{}, 0
	for _, s := range all {
		name, channel, ok := w.topics.Parse(s.topic)
		if !ok {
			continue // the leader's announcement, which is for everybody, and probes
		}
		box, to := n.keys.Master(), master
		switch channel {
		case protocol.Request:
			box, to = n.keys.Box(), agent
		case protocol.Desired:
			box, to = n.keys.Box(), seal.Run{}
		case protocol.Hello, protocol.Presence:
			to = seal.Run{}
		}
		e, err := box.Open(s.topic, to, s.payload)
		if err != nil {
			t.Fatalf("%s of %s: %v", channel, name, err)
		}
		opened[channel]++
		for i := 0; i+8 <= len(e.Body); i++ {
			if bytes.Contains(s.payload, e.Body[i:i+8]) {
				t.Fatalf("the broker reads %x on %s", e.Body[i:i+8], channel)
			}
		}
		if channel == protocol.Desired {
			doc, err := message.Decode[message.Desired](e.Body)
			if err != nil {
				t.Fatal(err)
			}
			if raw, _, err := doc.Unpack(); err == nil && bytes.Contains(raw, []byte(secret)) {
				carried++
			}
		}
	}
	for _, channel := range []string{
		protocol.Hello, protocol.Beat, protocol.Presence, protocol.Status, protocol.Desired, protocol.Request, protocol.Response,
	} {
		if opened[channel] == 0 {
			t.Errorf("nothing was said on %s", channel)
		}
	}
	if carried == 0 {
		t.Error("the secret did not travel")
	}
	seen := map[string]bool{}
	for _, s := range all {
		tail := string(s.payload[len(s.payload)-16:])
		if seen[tail] {
			t.Errorf("two messages end alike, the second on %s", s.topic)
		}
		seen[tail] = true
	}
}

// Whoever is not in the cluster costs the master neither memory nor objects.
func TestStrangersLeaveNoTrace(t *testing.T) {
	m := attacked(t)
	before := m.metric("skerry_nodelink_refused_total", "no_key")
	for i := range 1000 {
		node := "stranger-" + strings.Repeat("x", i%40)
		key := cluster.NewNode(node)
		m.put(node, protocol.Hello, key.Box().Seal(m.topic(node, protocol.Hello), seal.Run{Number: 1}, seal.Run{}, 1, message.Encode(message.Hello{})))
	}
	m.advance(time.Minute)
	equal(t, "refused", m.metric("skerry_nodelink_refused_total", "no_key")-before, 1000.0)
	equal(t, "nodes", m.store.View().Count(resource.Nodes.Kind), 2)
	equal(t, "records of what was seen", m.store.View().Count(resource.SeenKind), 3)
}
