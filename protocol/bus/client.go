package bus

import "slices"

// Client is a Bus over a Memory. It connects when told to, not by itself.
type Client struct {
	memory *Memory
	config ClientConfig

	// The memory's lock guards what follows.
	up             bool // as the client sees it
	number         uint64
	subscriptions  []subscription // in the order in which they were made
	waiting        int            // packets on their way up
	session        *session       // the broker's side of the connection; nil when it knows of none
	cutUp, cutDown bool
}

var _ Bus = (*Client)(nil)

// ClientConfig configures a Client.
type ClientConfig struct {
	// ID is the client's name at the broker: a client that connects takes over from any other of that id.
	ID string
	// Will returns what the broker shall publish, retained and with QoS 1, when it loses the connection with
	// this number. nil: nothing.
	Will func(connection uint64) (topic string, payload []byte)
}

type subscription struct {
	filter string
	qos    byte
	inbox  *Inbox
}

// session is what a broker knows of a connection.
type session struct {
	connection    uint64
	subscriptions []subscription
	will          Packet
}

// Publish is Bus.Publish. Without a connection every message is dropped.
func (c *Client) Publish(topic string, payload []byte, qos byte, retain bool) error {
	if err := CheckPublish(topic, payload, qos); err != nil {
		return err
	}
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if !c.up {
		return nil
	}
	if m.config.Held {
		if c.waiting >= m.config.Queue {
			return ErrFull
		}
		c.waiting++
	}
	m.flight = append(m.flight, Packet{
		Client: c.config.ID, Up: true, Topic: topic, Payload: slices.Clone(payload), QoS: qos, Retain: retain,
		client: c, connection: c.number,
	})
	m.settle()
	return nil
}

// Subscribe is Bus.Subscribe. The broker knows of it at once, unless the link is cut.
func (c *Client) Subscribe(filter string, qos byte, inbox *Inbox) error {
	if err := CheckFilter(filter, qos); err != nil {
		return err
	}
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	s := subscription{filter, qos, inbox}
	c.subscriptions = put(c.subscriptions, s)
	if c.up && !c.cutUp && c.session != nil && c.session.connection == c.number {
		c.session.subscriptions = put(c.session.subscriptions, s)
		c.memory.sendRetained(c, s)
		c.memory.settle()
	}
	return nil
}

func put(all []subscription, s subscription) []subscription {
	for i, other := range all {
		if other.filter == s.filter {
			all[i] = s
			return all
		}
	}
	return append(all, s)
}

// Connection is Bus.Connection.
func (c *Client) Connection() (number uint64, up bool) {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	return c.number, c.up
}

// Connect connects, anew if there is a connection: the broker then publishes the will of the old one. Returns
// ErrUnreachable when the link is cut. One goroutine at a time may connect a client.
func (c *Client) Connect() error {
	number, err := c.begin()
	if err != nil {
		return err
	}
	s := &session{connection: number}
	if c.config.Will != nil { // called without the lock: it may need one of the loop's
		topic, payload := c.config.Will(number)
		s.will = Packet{Topic: topic, Payload: slices.Clone(payload), QoS: 1, Retain: true}
	}
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	s.subscriptions = slices.Clone(c.subscriptions)
	c.session, c.up = s, true
	for _, sub := range c.subscriptions {
		m.sendRetained(c, sub)
	}
	c.wake()
	m.settle()
	return nil
}

// begin ends all earlier connections under the client's id and numbers the new one.
func (c *Client) begin() (number uint64, err error) {
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.cutUp || c.cutDown {
		return 0, ErrUnreachable
	}
	for _, other := range m.clients {
		if other != c && other.config.ID == c.config.ID {
			other.down()
		}
	}
	m.drop(c.config.ID) // MQTT-3.1.4-2
	m.settle()
	c.up = false
	c.number++
	return c.number, nil
}

// Disconnect takes leave of the broker, which then publishes no will.
func (c *Client) Disconnect() {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	if c.up && !c.cutUp && c.session != nil && c.session.connection == c.number {
		c.session = nil
	}
	c.down()
}

// Lose makes the client notice that its connection is gone. The broker doesn't: see Memory.Drop.
func (c *Client) Lose() {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	c.down()
}

// The functions below are called with the lock held.

func (c *Client) down() {
	if c.up {
		c.up = false
		c.wake()
	}
}

// wake wakes every inbox, once.
func (c *Client) wake() {
	var woken []*Inbox
	for _, s := range c.subscriptions {
		if !slices.Contains(woken, s.inbox) {
			woken = append(woken, s.inbox)
			s.inbox.Wake()
		}
	}
}

// receive puts a message into every inbox that is subscribed to its topic, once. An empty message is a retained
// one that was deleted.
func (c *Client) receive(p Packet) {
	if len(p.Payload) == 0 {
		return
	}
	var got []*Inbox
	for _, s := range c.subscriptions {
		if Matches(s.filter, p.Topic) && !slices.Contains(got, s.inbox) {
			got = append(got, s.inbox)
			s.inbox.Put(Message{Topic: p.Topic, Payload: slices.Clone(p.Payload), Retained: p.Retain})
		}
	}
}

// subscribed returns the best QoS of the subscriptions that match a topic.
func (s *session) subscribed(topic string) (qos byte, ok bool) {
	for _, sub := range s.subscriptions {
		if Matches(sub.filter, topic) {
			qos, ok = max(qos, sub.qos), true
		}
	}
	return qos, ok
}
