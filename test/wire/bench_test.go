package wire

import (
	"fmt"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// BenchmarkHeartbeats is what a heartbeat costs a master with a thousand nodes, and what refusing costs that is no good:
// a heartbeat in the name of the current run, a hello of a run that nobody has heard of (which takes a key of its own), and
// the largest message that a broker lets through.
func BenchmarkHeartbeats(b *testing.B) {
	const nodes = 1000
	forge := func(raw []byte) []byte { raw[len(raw)-1] ^= 1; return raw }
	for _, c := range []struct {
		what    string
		channel string
		make    func(d *device, agent, master seal.Run, n uint64) []byte
	}{
		{"good", protocol.Beat, func(d *device, agent, master seal.Run, n uint64) []byte {
			return d.beat(agent, master, n)
		}},
		{"forged", protocol.Beat, func(d *device, agent, master seal.Run, n uint64) []byte {
			return forge(d.beat(agent, master, n))
		}},
		{"forged hello of another run", protocol.Hello, func(d *device, agent, _ seal.Run, n uint64) []byte {
			topic := d.w.topics.Node(d.name, protocol.Hello)
			agent.Nonce = n
			return forge(d.keys.Ever()[0].Seal(topic, agent, seal.Run{}, n, message.Encode(message.Hello{Challenge: 1})))
		}},
		{"forged status of 512 KiB", protocol.Status, func(d *device, agent, master seal.Run, n uint64) []byte {
			topic := d.w.topics.Node(d.name, protocol.Status)
			return forge(d.keys.Ever()[0].Seal(topic, agent, master, n, make([]byte, bus.MaxPayload-seal.Overhead)))
		}},
		{"of no node", protocol.Beat, nil},
	} {
		b.Run(c.what, func(b *testing.B) {
			w := newWorld(b, 1)
			for i := range nodes {
				w.addNode(fmt.Sprintf("n%d", i))
			}
			w.advance(time.Second)
			client := w.bus.Client(bus.ClientConfig{ID: "bench"})
			if err := client.Connect(); err != nil {
				b.Fatal(err)
			}
			var raws [][]byte
			var topics []string
			for i := range b.N {
				d := w.nodes[i%nodes]
				if c.make == nil {
					raws, topics = append(raws, make([]byte, 100)), append(topics, w.topics.Node("stranger", c.channel))
					continue
				}
				if i >= 200 && c.channel == protocol.Status {
					raws, topics = append(raws, raws[i%200]), append(topics, topics[i%200])
					continue
				}
				raws, topics = append(raws, c.make(d, d.self, w.self, 1<<32+uint64(i))), append(topics, w.topics.Node(d.name, c.channel))
			}
			b.ResetTimer()
			b.StopTimer() // the broker in memory is not what is measured
			for i, raw := range raws {
				if err := client.Publish(topics[i], raw, 0, false); err != nil {
					b.Fatal(err)
				}
				if i%100 == 99 || i == len(raws)-1 {
					w.bus.DeliverAll()
					w.now = w.now.Add(100 * time.Millisecond)
					b.StartTimer()
					_, err := w.master.Step(w.now)
					b.StopTimer()
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// beat is a heartbeat with another number.
func (d *device) beat(agent, master seal.Run, number uint64) []byte {
	m := message.Heartbeat{Applied: d.disk.position, Readings: d.Readings()}
	return d.keys.Ever()[0].Seal(d.w.topics.Node(d.name, protocol.Beat), agent, master, number, message.Encode(m))
}
