package wire

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

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

// A node that offers one key after the other costs the master no more than a write each half interval: nobody has to
// wait for its disk.
func TestAFloodOfKeys(t *testing.T) {
	m := attacked(t)
	box, before := m.n2.keys.Box(), m.store.View().Rev()
	for i := range 1000 {
		offer := message.Response{NextKey: &message.NewKey{Key: [32]byte{9, byte(i), byte(i >> 8)}}}
		m.put("n2", protocol.Response, box.Seal(m.topic("n2", protocol.Response), m.n2.self, m.self, 1<<40+uint64(i), message.Encode(offer)))
	}
	m.advance(time.Second)
	if next := m.keyOf("n2").Next; next == [32]byte{} {
		t.Error("not even the first key was stored")
	}
	if writes := m.store.View().Rev() - before; writes > 10 {
		t.Errorf("%d writes", writes)
	}
}
