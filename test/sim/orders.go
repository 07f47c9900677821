package sim

import (
	"strings"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// ordered notes what a master has sent as a node's desired state.
func (n *node) ordered(position message.Position, content []byte) {
	// More than one master may have led in an epoch of this number, when one was restored from a backup.
	n.book.told[position] += mark(content) + " "
}

// checkOrder: an agent keeps only what was sent to it, as what it was sent, and never goes back to an older one.
func (n *node) checkOrder(position message.Position, content []byte) {
	if n.keys.RevokedAt != 0 { // it was removed, and tells itself to run nothing
		n.book.position = message.Position{}
		return
	}
	told := n.w.byName[n.name].book.told
	if was, ok := told[position]; !ok || !strings.Contains(was, mark(content)) {
		n.w.fail("%s keeps old orders as new ones: nothing like that was sent to it as %s", n.who(), position)
	}
	if position.Less(n.book.position) {
		n.w.fail("%s goes back from orders %s to %s", n.who(), n.book.position, position)
	}
	n.book.position = position
}

// reordered seals an old desired state as if the master that runs now had just sent it: what an agent would take it for that
// looks neither at epochs nor at serials.
func (w *World) reordered(p bus.Packet) []byte {
	name, channel, ok := w.topics.Parse(p.Topic)
	n := w.byName[name]
	if !ok || channel != protocol.Desired || n == nil || w.master.dead {
		return p.Payload
	}
	envelope, err := n.openDesired(p.Topic, p.Payload)
	if err != nil {
		return p.Payload
	}
	doc, err := message.Decode[message.Desired](envelope.Body)
	if err != nil {
		return p.Payload
	}
	doc.Position.Serial += 1 << 20
	if doc.Position.Epoch.Less(n.disk.epoch) {
		doc.Position.Epoch = n.disk.epoch
	}
	return n.keys.Master().Seal(p.Topic, w.master.self, seal.Run{}, envelope.Sequence+1<<20, message.Encode(doc))
}
