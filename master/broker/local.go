package broker

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/skerry-edge/skerry/protocol/bus"
)

// Local is a bus.Bus inside the broker's process: what arrives at the broker is put into the inboxes at once, by
// whoever receives it. There is no queue in between that could overflow, so a stream from a node arrives whole.
// It is connected while the broker runs.
type Local struct {
	server *mochi.Server
	id     int // of the broker's locals

	mu     sync.Mutex
	up     bool
	number uint64
	subs   map[string]*bus.Inbox // by filter
}

var _ bus.Bus = (*Local)(nil)

// Local returns a new client. It has every right.
func (b *Broker) Local() *Local {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &Local{server: b.server, id: len(b.locals) + 1, subs: map[string]*bus.Inbox{}}
	b.locals = append(b.locals, l)
	b.server.Topics.InlineSubscribe(mochi.InlineSubscription{
		Subscription: packets.Subscription{Identifier: l.id, Filter: "#"},
		Handler: func(_ *mochi.Client, _ packets.Subscription, pk packets.Packet) {
			l.deliver(bus.Message{Topic: pk.TopicName, Payload: pk.Payload})
		},
	})
	if b.running {
		l.connect(true)
	}
	return l
}

// setRunning tells the locals that the broker begins or ends.
func (b *Broker) setRunning(running bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = running
	for _, l := range b.locals {
		l.connect(running)
	}
}

// errNotRunning is what Err says before the broker runs and after it has ended.
var errNotRunning = errors.New("the embedded broker does not run")

// Err says why there is no connection; nil while there is one.
func (l *Local) Err() error {
	if _, up := l.Connection(); !up {
		return errNotRunning
	}
	return nil
}

// Connection implements bus.Bus.
func (l *Local) Connection() (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.number, l.up
}

// Publish implements bus.Bus.
func (l *Local) Publish(topic string, payload []byte, qos byte, retain bool) error {
	if err := bus.CheckPublish(topic, payload, qos); err != nil {
		return err
	}
	if _, up := l.Connection(); !up {
		return nil
	}
	if err := l.server.Publish(topic, bytes.Clone(payload), retain, qos); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}

// Subscribe implements bus.Bus. The quality of service makes no difference: nothing gets lost on the way.
func (l *Local) Subscribe(filter string, qos byte, inbox *bus.Inbox) error {
	if err := bus.CheckFilter(filter, qos); err != nil {
		return err
	}
	l.mu.Lock()
	l.subs[filter] = inbox
	up := l.up
	l.mu.Unlock()
	if up {
		l.replay(filter, inbox)
	}
	return nil
}

// connect begins or ends the connection.
func (l *Local) connect(up bool) {
	l.mu.Lock()
	if l.up == up {
		l.mu.Unlock()
		return
	}
	l.up = up
	if up {
		l.number++
	}
	subs := make(map[string]*bus.Inbox, len(l.subs))
	for filter, inbox := range l.subs {
		subs[filter] = inbox
	}
	l.mu.Unlock()
	for filter, inbox := range subs {
		if up {
			l.replay(filter, inbox)
		}
		inbox.Wake()
	}
}

// replay delivers what is retained, as a broker does to a new subscription.
func (l *Local) replay(filter string, inbox *bus.Inbox) {
	for topic, pk := range l.server.Topics.Retained.GetAll() {
		if bus.Matches(filter, topic) {
			inbox.Put(bus.Message{Topic: topic, Payload: bytes.Clone(pk.Payload), Retained: true})
		}
	}
}

// deliver hands a message to the inboxes whose filters match, each a copy. An empty one only deletes what was
// retained.
func (l *Local) deliver(m bus.Message) {
	if len(m.Payload) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.up {
		return
	}
	var given []*bus.Inbox
	for filter, inbox := range l.subs {
		if bus.Matches(filter, m.Topic) && !slices.Contains(given, inbox) {
			given = append(given, inbox)
			inbox.Put(bus.Message{Topic: m.Topic, Payload: bytes.Clone(m.Payload)})
		}
	}
}
