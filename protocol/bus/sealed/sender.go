package sealed

import (
	"fmt"
	"sync"

	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Sender sends the messages of one run. Streams send from goroutines of their own: a lock keeps the order of the
// sequence numbers that of the messages, and lets the boxes seal one at a time.
type Sender struct {
	bus bus.Bus
	run seal.Run

	mu       sync.Mutex
	sequence uint64
}

// NewSender returns the sender of a run that has sent nothing yet.
func NewSender(bus bus.Bus, run seal.Run) *Sender { return &Sender{bus: bus, run: run} }

// Send publishes a message to one run of the other end of a box, or, to the zero run, to whichever comes.
func (s *Sender) Send(box *seal.Box, to seal.Run, topic string, m any, qos byte, retain bool) error {
	body := message.Encode(m)
	return s.publish(topic, qos, retain, func(sequence uint64) []byte {
		return box.Seal(topic, s.run, to, sequence, body)
	})
}

// Announce publishes a message that is not sealed, for everybody, and retained.
func (s *Sender) Announce(topic string, m any) error {
	body := message.Encode(m)
	return s.publish(topic, 1, true, func(sequence uint64) []byte { return seal.Write(s.run, sequence, body) })
}

func (s *Sender) publish(topic string, qos byte, retain bool, write func(sequence uint64) []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence++
	if err := s.bus.Publish(topic, write(s.sequence), qos, retain); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}

// Seal numbers and seals a message that somebody else publishes.
func (s *Sender) Seal(box *seal.Box, to seal.Run, topic string, m any) []byte {
	body := message.Encode(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence++
	return box.Seal(topic, s.run, to, s.sequence, body)
}
