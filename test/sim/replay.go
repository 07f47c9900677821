package sim

import (
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// replayer is the client in whose name the broker says again what it has heard.
const replayer = "replay"

// recording is what the broker has handed over, of all times. What it holds back and hands over later is another matter:
// nobody can tell it from what the network delays.
type recording struct {
	packets []recorded
	heard   int
	client  *bus.Client
}

// recorded is a packet, with what is in it if the world was asked to know.
type recorded struct {
	packet bus.Packet
	body   []byte // nil: nobody looked, or it does not open
}

// mostRecorded bounds a recording: what comes later takes a random place, so that all times are there.
const mostRecorded = 1500

func (w *World) record(p bus.Packet) {
	if p.Up || p.Client == replayer {
		return
	}
	_, channel, _ := w.topics.Parse(p.Topic)
	p.Retain = channel == protocol.Desired || channel == protocol.Presence || p.Topic == w.topics.Leader()
	r := &w.recording
	r.heard++
	kept := recorded{packet: p}
	if w.options.Broken.Replays {
		kept.body = w.bodyOf(p)
	}
	if len(r.packets) < mostRecorded {
		r.packets = append(r.packets, kept)
	} else if i := w.random.Intn(r.heard); i < mostRecorded {
		r.packets[i] = kept
	}
}

// bodyOf opens what a node says to the master that runs now.
func (w *World) bodyOf(p bus.Packet) []byte {
	name, channel, ok := w.topics.Parse(p.Topic)
	if !ok || channel == protocol.Desired || channel == protocol.Request {
		return nil
	}
	to := w.master.self
	if channel == protocol.Hello || channel == protocol.Presence {
		to = seal.Run{}
	}
	n := w.node(name)
	e, err := n.keys.Master().Open(p.Topic, to, p.Payload)
	if err != nil {
		return nil
	}
	if e.Sender == n.run {
		n.said = max(n.said, e.Sequence)
	}
	return e.Body
}

// haunt makes the broker say again what a node has said that is still dead, until it is not.
func (n *node) haunt() {
	if n.agent != nil || n.w.now <= n.died+memory || n.cloned > 0 && n.w.now <= n.cloned+memory || n.gone && n.w.calm {
		return
	}
	n.w.replay(100, func(r recorded) bool {
		name, _, _ := n.w.topics.Parse(r.packet.Topic)
		return name == n.name
	})
	n.w.after(n.w.between(5*time.Second, 20*time.Second), n.haunt)
}

// replay makes the broker say again some of what it has heard, on the topics that it was said on.
func (w *World) replay(count int, which func(recorded) bool) {
	r := &w.recording
	if len(r.packets) == 0 || w.now < w.brokerUp {
		return
	}
	w.log("broker", "REPLAYS %d of %d messages", count, r.heard)
	if r.client == nil {
		r.client = w.bus.Client(bus.ClientConfig{ID: replayer})
	}
	if err := r.client.Connect(); err != nil {
		w.fail("replay: %w", err)
		return
	}
	for range count {
		kept := r.packets[w.random.Intn(len(r.packets))]
		if !which(kept) {
			continue
		}
		p := kept.packet
		if kept.body != nil {
			p.Payload = w.anew(p, kept.body)
		}
		if w.options.Broken.OldOrders {
			p.Payload = w.reordered(p)
		}
		if err := r.client.Publish(p.Topic, p.Payload, p.QoS, p.Retain); err != nil {
			w.fail("replay: %w", err)
		}
	}
}

// anew seals an old message as if the node's newest run had just sent it to the master that runs now: what a window
// that is off, and a receiver that is not looked at, would take it for.
func (w *World) anew(p bus.Packet, body []byte) []byte {
	name, channel, _ := w.topics.Parse(p.Topic)
	to := w.master.self
	if channel == protocol.Hello || channel == protocol.Presence {
		to = seal.Run{}
	}
	n := w.node(name)
	number := n.said + 1
	if n.agent == nil {
		n.said = number // one that lives goes on counting by itself
	}
	return n.keys.Box().Seal(p.Topic, n.run, to, number, body)
}

// memory is how long a packet may be on its way: from a node to the broker and from there to the master, each up to
// 20 s for a repeated one and 5 s for a delayed one.
const memory = time.Minute

// checkHeard: nobody is heard who has not been there for a minute.
func (w *World) checkHeard(changes []change.Change) {
	for _, c := range changes {
		if c.Key.Kind != resource.SeenKind || c.Key.Name == resource.LinkName || c.Deletes() {
			continue
		}
		seen, err := resource.DecodeSeen(c.Value)
		if err != nil {
			w.fail("decode what was seen of %s: %w", c.Key.Name, err)
			return
		}
		if before, ok := w.seen(c.Key.Name); ok && before.HeardBoot == seen.HeardBoot {
			continue
		}
		n := w.node(c.Key.Name)
		if at := w.master.machine.at(clock.Now{Boot: seen.HeardBoot}); n.agent == nil && at > max(n.died, n.cloned)+memory+w.master.missed {
			w.fail("%s is heard, and it has had no agent for %s", n.name, at-n.died)
		}
	}
}
