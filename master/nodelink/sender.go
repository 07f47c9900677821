package nodelink

import (
	"fmt"
	"sync"

	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// sender numbers, seals and publishes. Streams send from goroutines of their own: the lock keeps the order of
// the sequence numbers that of the messages.
type sender struct {
	bus bus.Bus
	run seal.Run

	mu       sync.Mutex
	sequence uint64 // one for all topics, so that "before" has a meaning across them
}

func (s *sender) send(topic string, m any, qos byte, retain bool) error {
	body := message.Encode(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence++
	if err := s.bus.Publish(topic, seal.Write(s.run, s.sequence, body), qos, retain); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}
