package broker

import (
	"bytes"
	"testing"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
)

// What a node sends in one go reaches the master whole, however many messages it is: streams count on it.
func TestAFloodOfMessagesReachesTheMaster(t *testing.T) {
	t.Parallel()
	b, address := serve(t, nil)
	topics := testTopics(t)
	inbox := bus.NewInbox(100_000, func() {})
	if err := startMaster(t, b).Subscribe(topics.AllNodes("+"), 0, inbox); err != nil {
		t.Fatal(err)
	}
	p := connect(t, address, "node-1")
	const n = 20_000
	var raw bytes.Buffer
	for range n {
		if err := publishPacket(topics.Node("node-1", protocol.Response), 0, "a line of a log").Write(&raw); err != nil {
			t.Fatal(err)
		}
	}
	publishPacket(topics.Node("node-1", protocol.Status), 0, "end").Write(&raw)
	if _, err := p.Write(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	got, ended := 0, false
	eventually(t, "the end arrives", func() bool {
		for _, m := range inbox.Drain() {
			got++
			ended = ended || string(m.Payload) == "end"
		}
		return ended
	})
	if got != n+1 {
		t.Errorf("%d of %d messages arrived", got, n+1)
	}
}
