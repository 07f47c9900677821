package mqtt_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
)

// box collects what arrives.
type box struct {
	*bus.Inbox
	got []bus.Message
}

func newBox() *box { return &box{Inbox: bus.NewInbox(10_000, func() {})} }

func (b *box) has(topic, payload string) bool {
	b.got = append(b.got, b.Drain()...)
	for _, m := range b.got {
		if m.Topic == topic && string(m.Payload) == payload {
			return true
		}
	}
	return false
}

func publish(t *testing.T, b *mqtt.Bus, topic, payload string, qos byte, retain bool) {
	t.Helper()
	if err := b.Publish(topic, []byte(payload), qos, retain); err != nil {
		t.Fatal(err)
	}
}

func subscribe(t *testing.T, b *mqtt.Bus, filter string, inbox *box) {
	t.Helper()
	if err := b.Subscribe(filter, 1, inbox.Inbox); err != nil {
		t.Fatal(err)
	}
}

// A node and the master talk over TLS, although the certificate expired long ago.
func TestNodeAndMasterTalk(t *testing.T) {
	onEachBroker(t, func(t *testing.T, r *rig) {
		topics := topics(t)
		master, _ := start(t, r.master(t))
		node, _ := start(t, r.config(t, "node-1"))
		toMaster, toNode := newBox(), newBox()
		subscribe(t, master, topics.AllNodes(protocol.Status), toMaster)
		subscribe(t, node, topics.Node("node-1", protocol.Desired), toNode)
		connected(t, master)
		connected(t, node)
		eventually(t, "the status arrives", func() bool {
			publish(t, node, topics.Node("node-1", protocol.Status), "fine", 1, false)
			return toMaster.has(topics.Node("node-1", protocol.Status), "fine")
		})
		large := strings.Repeat("d", bus.MaxPayload)
		publish(t, master, topics.Node("node-1", protocol.Desired), large, 1, true)
		eventually(t, "the desired state arrives", func() bool {
			return toNode.has(topics.Node("node-1", protocol.Desired), large)
		})
		if err := node.Err(); err != nil {
			t.Errorf("while connected: %v", err)
		}
	})
}

// A thousand messages in one go arrive in order, whatever the broker's window is.
func TestOrderIsKept(t *testing.T) {
	onEachBroker(t, func(t *testing.T, r *rig) {
		topics := topics(t)
		master, _ := start(t, r.master(t))
		node, _ := start(t, r.config(t, "node-1"))
		inbox := newBox()
		subscribe(t, master, topics.AllNodes("+"), inbox)
		connected(t, master)
		connected(t, node)
		topic := topics.Node("node-1", protocol.Status)
		eventually(t, "the subscription works", func() bool {
			publish(t, node, topic, "ready?", 1, false)
			return inbox.has(topic, "ready?")
		})
		const n = 200
		for i := range n {
			publish(t, node, topic, fmt.Sprint(i), 1, false)
		}
		eventually(t, "the last arrives", func() bool { return inbox.has(topic, fmt.Sprint(n-1)) })
		last := -1
		for _, m := range inbox.got {
			var i int
			if _, err := fmt.Sscan(string(m.Payload), &i); err != nil {
				continue
			}
			if i < last {
				t.Fatalf("%d came after %d", i, last)
			}
			last = i
		}
	})
}

// When the broker comes back both sides are connected again, by a higher number, and subscribed.
func TestBrokerRestart(t *testing.T) {
	onEachBroker(t, func(t *testing.T, r *rig) {
		topics := topics(t)
		node, _ := start(t, r.config(t, "node-1"))
		inbox := newBox()
		subscribe(t, node, topics.Leader(), inbox)
		first := connected(t, node)
		r.stop()
		eventually(t, "the end is noticed", func() bool { _, up := node.Connection(); return !up })
		eventually(t, "and explained", func() bool {
			err := node.Err()
			return err != nil && strings.Contains(err.Error(), "nothing listens there")
		})
		publish(t, node, topics.Node("node-1", protocol.Status), "lost", 1, false)
		r.start()
		if second := connected(t, node); second <= first {
			t.Errorf("connection %d after %d", second, first)
		}
		master, _ := start(t, r.master(t))
		connected(t, master)
		publish(t, master, topics.Leader(), "it is me", 1, true)
		eventually(t, "the subscription is back", func() bool { return inbox.has(topics.Leader(), "it is me") })
	})
}

// The will of a broken connection is published, retained; it names the connection.
func TestWill(t *testing.T) {
	onEachBroker(t, func(t *testing.T, r *rig) {
		topics := topics(t)
		master, _ := start(t, r.master(t))
		inbox := newBox()
		subscribe(t, master, topics.AllNodes(protocol.Presence), inbox)
		connected(t, master)
		presence := topics.Node("node-1", protocol.Presence)
		config := r.config(t, "node-1")
		config.Will = func(n uint64) (string, []byte) { return presence, fmt.Appendf(nil, "connection %d is gone", n) }
		node, stop := start(t, config)
		number := connected(t, node)
		stop()
		will := fmt.Sprintf("connection %d is gone", number)
		eventually(t, "the will arrives", func() bool { return inbox.has(presence, will) })

		again := newBox()
		subscribe(t, master, topics.AllNodes(protocol.Presence), again)
		eventually(t, "it is retained", func() bool { return again.has(presence, will) })
		for _, m := range again.got {
			if !m.Retained {
				t.Errorf("%s is not marked as retained", m.Payload)
			}
		}
	})
}

// A wrong password, another cluster's broker, a plain connection: the error says which it is.
func TestRefusalsAreExplained(t *testing.T) {
	onEachBroker(t, func(t *testing.T, r *rig) {
		for name, c := range map[string]struct {
			change func(*mqtt.Config)
			want   string
		}{
			"wrong password": {func(c *mqtt.Config) { c.Password = "guess" }, "it refuses the user name or password"},
			"other cluster":  {func(c *mqtt.Config) { c.PinnedCA[0]++ }, "not signed by this cluster's authority"},
			"no pin":         {func(c *mqtt.Config) { c.PinnedCA = [32]byte{} }, "its certificate is out of date, or this machine's clock is wrong"},
			"other name": {func(c *mqtt.Config) {
				c.Brokers, _ = mqtt.ParseBrokers([]string{strings.Replace(r.url, "127.0.0.1", "localhost", 1)})
			}, "its certificate is for another name"},
			"no TLS": {func(c *mqtt.Config) {
				c.Brokers, _ = mqtt.ParseBrokers([]string{strings.Replace(r.url, "mqtts", "tcp", 1)})
			}, "the connection was closed"},
		} {
			config := r.config(t, "node-1")
			c.change(&config)
			node, stop := start(t, config)
			eventually(t, name, func() bool {
				err := node.Err()
				return err != nil && strings.Contains(err.Error(), c.want)
			})
			if n, up := node.Connection(); up || n != 0 {
				t.Errorf("%s: connection %d, up %v", name, n, up)
			}
			stop()
		}
	})
}

// Of several brokers the first that takes the node is used.
func TestBrokersAreAlternatives(t *testing.T) {
	onEachBroker(t, func(t *testing.T, r *rig) {
		config := r.config(t, "node-1")
		dead, err := mqtt.ParseBroker("mqtts://" + freePort(t))
		if err != nil {
			t.Fatal(err)
		}
		config.Brokers = append([]mqtt.Broker{dead}, config.Brokers...)
		node, _ := start(t, config)
		connected(t, node)
	})
}

// Other brokers are used from the next connection on; the present one stays.
func TestUseBrokers(t *testing.T) {
	onEachBroker(t, func(t *testing.T, r *rig) {
		config := r.config(t, "node-1")
		good := config.Brokers
		dead, err := mqtt.ParseBroker("mqtts://" + freePort(t))
		if err != nil {
			t.Fatal(err)
		}
		config.Brokers = []mqtt.Broker{dead}
		node, _ := start(t, config)
		node.UseBrokers(nil) // says nothing
		node.UseBrokers(good)
		first := connected(t, node)
		node.UseBrokers([]mqtt.Broker{dead})
		if number, up := node.Connection(); !up || number != first {
			t.Errorf("connection %d after %d, up: %t", number, first, up)
		}
	})
}

// What somebody else puts on the broker beyond the limit is not handed on, and does no harm.
func TestOversizedMessagesAreDropped(t *testing.T) {
	r := mosquitto(t)
	topics := topics(t)
	node, _ := start(t, r.config(t, "node-1"))
	inbox := newBox()
	subscribe(t, node, topics.Node("node-1", protocol.Desired), inbox)
	number := connected(t, node)
	master, _ := start(t, r.master(t))
	connected(t, master)
	r.raw(t, topics.Node("node-1", protocol.Desired), bytes.Repeat([]byte{'x'}, 1<<20))
	eventually(t, "the next message arrives", func() bool {
		publish(t, master, topics.Node("node-1", protocol.Desired), "small", 1, false)
		return inbox.has(topics.Node("node-1", protocol.Desired), "small")
	})
	for _, m := range inbox.got {
		if string(m.Payload) != "small" {
			t.Errorf("got a message of %d bytes", len(m.Payload))
		}
	}
	if n, up := node.Connection(); !up || n != number {
		t.Errorf("connection %d, up %v; it was %d", n, up, number)
	}
}
