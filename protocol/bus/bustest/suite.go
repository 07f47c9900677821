package bustest

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/bus"
)

// Client is a client of the broker under test.
type Client interface {
	bus.Bus
	// Break ends the connection as a lost link does, without a word to the broker, and has the broker notice.
	// The client stays away until Reconnect.
	Break()
	// Reconnect lets the client connect again; it may return before it has.
	Reconnect()
	// Close takes leave of the broker, for good.
	Close()
}

// Connect returns a new client that connects to the broker, by itself and at once. will is as in
// bus.ClientConfig; nil for none. The client is closed at the end of the test.
type Connect func(t *testing.T, id string, will func(connection uint64) (topic string, payload []byte)) Client

// Run runs the contract. open is called for each test and returns how to connect to a broker, which may be the
// same each time.
func Run(t *testing.T, open func(t *testing.T) Connect) {
	tests := []struct {
		name string
		run  func(*testing.T, env)
	}{
		{"a message reaches every matching inbox and no other", testRoute},
		{"a client hears itself", testSelf},
		{"payloads arrive as they were published", testPayload},
		{"a message that no broker takes is refused", testRefused},
		{"a retained message waits for subscribers", testRetained},
		{"an empty retained message deletes", testRetainedDeleted},
		{"subscribing again replaces the inbox and repeats what is retained", testSubscribeAgain},
		{"subscriptions outlive connections", testReconnect},
		{"each change of the connection wakes the inboxes and each connection has its number", testConnection},
		{"the will speaks when a link breaks", testWill},
		{"the will is silent when a client takes leave", testNoWill},
		{"many messages from many goroutines arrive", testMany},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			unique := rand.Text()[:10]
			test.run(t, env{connect: open(t), prefix: "bustest/" + unique + "/", unique: unique})
		})
	}
}

// env is what a test has: a broker, and topics and ids of its own.
type env struct {
	connect Connect
	prefix  string
	unique  string
}

// client connects a client and waits until it is.
func (e env) client(t *testing.T, id string, will func(uint64) (string, []byte)) Client {
	t.Helper()
	c := e.connect(t, id+"-"+e.unique, will)
	awaitUp(t, c)
	return c
}

func awaitUp(t *testing.T, c Client) {
	t.Helper()
	eventually(t, "the client is connected", func() bool { _, up := c.Connection(); return up })
}

// box is an inbox and what has come out of it.
type box struct {
	*bus.Inbox
	wakes chan struct{} // one slot
	got   []bus.Message
}

func newBox() *box {
	b := &box{wakes: make(chan struct{}, 1)}
	b.Inbox = bus.NewInbox(4096, func() {
		select {
		case b.wakes <- struct{}{}:
		default:
		}
	})
	return b
}

// wait drains the inbox until a message with this payload comes, and returns it.
func (b *box) wait(t *testing.T, payload string) bus.Message {
	t.Helper()
	var found bus.Message
	b.until(t, "message "+payload, func() bool {
		for _, m := range b.got {
			if string(m.Payload) == payload {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// until drains the inbox until the condition holds.
func (b *box) until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		b.got = append(b.got, b.Drain()...)
		if condition() {
			return
		}
		select {
		case <-b.wakes:
		case <-timeout:
			t.Fatalf("%s: does not happen; the inbox got %q", what, b.payloads())
		}
	}
}

func (b *box) payloads() []string {
	var out []string
	for _, m := range b.got {
		out = append(out, string(m.Payload[:min(len(m.Payload), 40)]))
	}
	return out
}

func (b *box) has(payload string) bool {
	for _, p := range b.payloads() {
		if p == payload {
			return true
		}
	}
	return false
}

// patience is how long anything may take on a loaded machine.
const patience = 20 * time.Second

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: does not happen", what)
		}
	}
}

// subscribe subscribes and waits until the broker knows: a message of its own that matches comes back.
func subscribe(t *testing.T, c Client, filter, probe string, b *box) {
	t.Helper()
	if err := c.Subscribe(filter, 1, b.Inbox); err != nil {
		t.Fatal(err)
	}
	marker := "marker " + rand.Text()
	publish(t, c, probe, marker, 1, false)
	b.wait(t, marker)
}

func publish(t *testing.T, c Client, topic, payload string, qos byte, retain bool) {
	t.Helper()
	if err := c.Publish(topic, []byte(payload), qos, retain); err != nil {
		t.Fatal(err)
	}
}
