package wire

import (
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
)

// A node that sends without end, on any channel, does not keep the master from hearing the others; what finds no
// room is counted.
func TestAFloodDoesNotSilenceOtherNodes(t *testing.T) {
	for _, channel := range []string{protocol.Beat, protocol.Status, protocol.Response} {
		t.Run(channel, func(t *testing.T) {
			w := newWorld(t, 1)
			w.addNode("n1")
			w.advance(12 * time.Second)
			loud := w.bus.Client(bus.ClientConfig{ID: "loud"})
			w.connect(loud)
			for range 25_000 { // more than fit
				if err := loud.Publish(w.topics.Node("loud", channel), []byte{1}, 0, false); err != nil {
					t.Fatal(err)
				}
			}
			beats := 0
			deliver := func() { // up to the broker, and on to the master's inbox
				for packets := w.bus.Take(); len(packets) > 0; packets = w.bus.Take() {
					for _, p := range packets {
						if p.Up && p.Topic == w.topics.Node("n1", protocol.Beat) {
							beats++
						}
						w.bus.Deliver(p)
					}
				}
			}
			deliver()
			for n := w.nodes[0]; beats == 0; { // the master has no Step before the next heartbeat
				w.now = w.now.Add(max(0, n.next.Since(w.now)))
				n.step()
				deliver()
			}
			beat := w.now.Boot
			w.advance(time.Second)
			if seen, _ := w.seenOf("n1"); seen.HeardBoot < beat {
				t.Error("n1 was not heard")
			}
			equal(t, "a drop is counted", w.metric("skerry_nodelink_dropped_total", channel) > 5000, true)
		})
	}
}
