package bus

// NewSharedInbox is NewInbox for the messages of many senders, of which none shall keep out the others: each may
// hold as much of the inbox as is left free, so one that floods it gets half, two a third each, and one that
// holds nothing finds room. sender names the sender of a topic's messages; dropped is told the topic of each
// message that found no room. Both are called from any goroutine and must not block.
func NewSharedInbox(limit int, sender func(topic string) string, dropped func(topic string), wake func()) *Inbox {
	i := NewInbox(limit, wake)
	i.shares = &shares{sender: sender, dropped: dropped, held: map[string]share{}}
	return i
}

// shares is what each sender holds of an inbox.
type shares struct {
	sender  func(topic string) string
	dropped func(topic string)
	held    map[string]share
}

type share struct{ messages, bytes int }

// take adds a message to its sender's share and reports false when that would be more than is left free.
func (s *shares) take(m Message, freeMessages, freeBytes int) bool {
	sender := s.sender(m.Topic)
	next := s.held[sender]
	if next.messages >= freeMessages || next.bytes+len(m.Payload) > freeBytes {
		return false
	}
	next.messages++
	next.bytes += len(m.Payload)
	s.held[sender] = next
	return true
}
