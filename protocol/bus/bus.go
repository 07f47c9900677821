package bus

import (
	"errors"
	"sync"
)

// ErrFull is returned by Publish when the outgoing queue has no room. The state on both sides is
// level-triggered, so the caller simply says it again later.
var ErrFull = errors.New("bus: outgoing queue is full")

// MaxPayload bounds a message in bytes, in both directions; larger ones are refused before they are read.
const MaxPayload = 512 << 10

// Message is one message as it arrived. The receiver owns Payload.
type Message struct {
	Topic    string
	Payload  []byte
	Retained bool // sent before we subscribed, kept by the broker
}

// Bus carries messages between the master and the agents. It is only a pipe: everything may be lost,
// repeated, late or out of order. All methods may be called from several goroutines; none blocks on the
// network.
type Bus interface {
	// Publish enqueues a message: success is not delivery. The bus does not keep payload.
	// Returns ErrFull, or an error for a topic or payload that no broker would take. While there is no
	// connection messages of QoS 0 are dropped silently; QoS 1 may be.
	Publish(topic string, payload []byte, qos byte, retain bool) error

	// Subscribe asks for all messages that match filter (MQTT wildcards) from now on, across
	// reconnects, into inbox. Repeating it with the same filter replaces the inbox and makes the broker
	// send retained messages again.
	Subscribe(filter string, qos byte, inbox *Inbox) error

	// Connection says whether the bus is connected now and how many times it has been: the number grows
	// by one with each connection. A change wakes every inbox.
	Connection() (number uint64, up bool)
}

// MaxInboxBytes bounds the payloads that wait in one Inbox, whatever their number, unless it has a bound of its own.
const MaxInboxBytes = 32 << 20

// Inbox is a bounded queue that a bus fills and a loop drains. When it is full the newest message is
// dropped and counted: what was lost shows in the next heartbeat.
type Inbox struct {
	wake func()

	mu      sync.Mutex
	limit   int
	most    int // bytes
	queue   []Message
	bytes   int // of the payloads in queue
	dropped uint64
	shares  *shares // nil: senders don't count
}

// NewInbox returns an inbox for at most limit messages. wake is called after each arrival and each change
// of the connection, from any goroutine; it must not block.
func NewInbox(limit int, wake func()) *Inbox { return NewInboxOfBytes(limit, MaxInboxBytes, wake) }

// NewInboxOfBytes is NewInbox with a bound of its own for the bytes of the payloads.
func NewInboxOfBytes(limit, most int, wake func()) *Inbox {
	return &Inbox{limit: limit, most: most, wake: wake}
}

// Put appends a message and wakes the loop; it reports false when the message was dropped.
func (i *Inbox) Put(m Message) bool {
	i.mu.Lock()
	fits := len(i.queue) < i.limit && i.bytes+len(m.Payload) <= i.most
	if fits && i.shares != nil {
		fits = i.shares.take(m, i.limit-len(i.queue), i.most-i.bytes)
	}
	if fits {
		i.queue = append(i.queue, m)
		i.bytes += len(m.Payload)
	} else {
		i.dropped++
	}
	i.mu.Unlock()
	if !fits && i.shares != nil {
		i.shares.dropped(m.Topic)
	}
	i.wake()
	return fits
}

// Drain takes all that has arrived, oldest first.
func (i *Inbox) Drain() []Message {
	i.mu.Lock()
	defer i.mu.Unlock()
	taken := i.queue
	i.queue, i.bytes = nil, 0
	if i.shares != nil {
		clear(i.shares.held)
	}
	return taken
}

// Dropped is the number of messages that found no room since the start.
func (i *Inbox) Dropped() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.dropped
}

// Wake wakes the loop without a message: the connection changed.
func (i *Inbox) Wake() { i.wake() }
