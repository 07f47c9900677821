package bus

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
)

// Memory is a broker and the network around it, in this process. Given the same calls in the same order it
// does the same; it starts no goroutine and reads no clock.
//
//	Client.Publish ──► packets up ──► broker: retained, subscriptions ──► packets down ──► Inbox
//
// By default packets arrive before the call that caused them returns. A Memory that is Held keeps them in
// flight instead: Take hands them over, and whoever has them decides whether Deliver is called never, once or
// twice, when, and in which order. Lost links are made with Cut, Client.Lose and Drop.
type Memory struct {
	config MemoryConfig

	mu       sync.Mutex
	clients  []*Client // in the order of their making, which is that of deliveries
	retained map[string]Packet
	flight   []Packet
}

// MemoryConfig configures a Memory.
type MemoryConfig struct {
	// Held keeps packets in flight until Take and Deliver.
	Held bool
	// Queue is how many packets a client may have on their way up before Publish returns ErrFull; 0 means
	// 1024. It matters to a Memory that is Held.
	Queue int
}

// ErrUnreachable is the answer to a Connect over a link that is cut.
var ErrUnreachable = errors.New("bus: the broker can't be reached")

// Packet is a message on its way between one client and the broker.
type Packet struct {
	Client  string // whose link it is on
	Up      bool   // to the broker
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool // up: to be kept; down: was kept

	client     *Client
	connection uint64 // a packet dies with its connection
}

// NewMemory returns a broker without clients.
func NewMemory(config MemoryConfig) *Memory {
	if config.Queue == 0 {
		config.Queue = 1024
	}
	return &Memory{config: config, retained: map[string]Packet{}}
}

// Client adds a client. It is not connected yet.
func (m *Memory) Client(config ClientConfig) *Client {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Client{memory: m, config: config}
	m.clients = append(m.clients, c)
	return c
}

// Take returns the packets in flight, oldest first; they arrive only through Deliver.
func (m *Memory) Take() []Packet {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.flight
	m.flight = nil
	for _, c := range m.clients {
		c.waiting = 0
	}
	return taken
}

// Deliver lets a packet arrive, once more if it has arrived before. What it causes is in flight then. It
// reports false when the packet is lost, for its link is cut or its connection has ended.
func (m *Memory) Deliver(p Packet) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	arrived := m.arrive(p)
	m.settle()
	return arrived
}

// DeliverAll delivers everything in flight, and what that causes, and returns the number of packets.
func (m *Memory) DeliverAll() int {
	n := 0
	for batch := m.Take(); len(batch) > 0; batch = m.Take() {
		for _, p := range batch {
			m.Deliver(p)
			n++
		}
	}
	return n
}

// Cut takes away, or gives back, the two directions of the links of the clients with an id. Packets on a cut
// link are lost, and nobody notices until Client.Lose and Drop.
func (m *Memory) Cut(id string, up, down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.clients {
		if c.config.ID == id {
			c.cutUp, c.cutDown = up, down
		}
	}
}

// Drop makes the broker notice that a client is gone: it publishes the will.
func (m *Memory) Drop(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(id)
	m.settle()
}

// Restart ends all connections, without wills, and forgets what was retained, as a broker without a disk does
// that is killed.
func (m *Memory) Restart() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.retained)
	m.flight = nil
	for _, c := range m.clients {
		c.session, c.waiting = nil, 0
		c.down()
	}
}

// Forget makes the broker lose what it retained under the topics that match a filter.
func (m *Memory) Forget(filter string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.retained, func(topic string, _ Packet) bool { return Matches(filter, topic) })
}

// Retained returns what the broker keeps under a topic, nil if nothing.
func (m *Memory) Retained(topic string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.retained[topic].Payload)
}

// The methods below are called with the lock held.

// settle lets everything arrive, unless packets are held.
func (m *Memory) settle() {
	for !m.config.Held && len(m.flight) > 0 {
		p := m.flight[0]
		m.flight = m.flight[1:]
		m.arrive(p)
	}
}

func (m *Memory) arrive(p Packet) bool {
	c := p.client
	switch {
	case p.Up && c.session != nil && c.session.connection == p.connection && !c.cutUp:
		m.route(p)
		return true
	case !p.Up && c.up && c.number == p.connection && !c.cutDown:
		c.receive(p)
		return true
	}
	return false
}

// route is what a broker does with a message.
func (m *Memory) route(p Packet) {
	if p.Retain {
		if len(p.Payload) == 0 { // MQTT-3.3.1-10
			delete(m.retained, p.Topic)
		} else {
			m.retained[p.Topic] = p
		}
	}
	p.Retain = false // MQTT-3.3.1-9: who is subscribed already can't tell
	for _, c := range m.clients {
		if c.session == nil {
			continue
		}
		if qos, ok := c.session.subscribed(p.Topic); ok {
			m.send(c, p, qos)
		}
	}
}

// send puts a message on its way down.
func (m *Memory) send(c *Client, p Packet, qos byte) {
	p.Client, p.client, p.connection = c.config.ID, c, c.session.connection
	p.Up, p.QoS = false, min(p.QoS, qos)
	m.flight = append(m.flight, p)
}

// sendRetained sends what is retained for a new subscription, in the order of topics.
func (m *Memory) sendRetained(c *Client, s subscription) {
	kept := slices.SortedFunc(maps.Values(m.retained), func(a, b Packet) int { return cmp.Compare(a.Topic, b.Topic) })
	for _, p := range kept {
		if Matches(s.filter, p.Topic) {
			m.send(c, p, s.qos)
		}
	}
}

func (m *Memory) drop(id string) {
	for _, c := range m.clients {
		if c.config.ID == id && c.session != nil {
			will := c.session.will
			c.session = nil
			if will.Topic != "" {
				m.route(will)
			}
		}
	}
}
