package mqtt_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
)

// A bus that is told to reconnect takes leave, so that its will stays silent, and is back by a higher number.
func TestReconnect(t *testing.T) {
	onEachBroker(t, func(t *testing.T, r *rig) {
		presence := topics(t).Node("node-1", protocol.Presence)
		master, _ := start(t, r.master(t))
		inbox := newBox()
		subscribe(t, master, topics(t).AllNodes(protocol.Presence), inbox)
		connected(t, master)
		config := r.config(t, "node-1")
		config.Will = func(n uint64) (string, []byte) { return presence, fmt.Appendf(nil, "connection %d is gone", n) }
		node, _ := start(t, config)
		node.Reconnect(false) // there may be no connection yet: it does nothing then
		first := connected(t, node)
		node.Reconnect(true) // there is no other broker
		node.Reconnect(false)
		eventually(t, "there is another connection", func() bool {
			number, up := node.Connection()
			return up && number > first
		})
		eventually(t, "the new connection carries", func() bool {
			publish(t, node, presence, "back", 1, false)
			return inbox.has(presence, "back")
		})
		if will := fmt.Sprintf("connection %d is gone", first); inbox.has(presence, will) {
			t.Error("the will of the connection that took leave was published")
		}
	})
}

// A bus that is told to try the next broker leaves a good connection for it, and comes back when that one is none.
func TestReconnectToTheNextBroker(t *testing.T) {
	r := embedded(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	called := make(chan struct{}, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			called <- struct{}{}
			conn.Close()
		}
	}()
	other, err := mqtt.ParseBroker("mqtts://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	config := r.config(t, "node-1")
	config.Brokers = append(config.Brokers, other)
	node, _ := start(t, config)
	first := connected(t, node)
	if len(called) > 0 {
		t.Error("the second broker was called though the first answers")
	}
	node.Reconnect(true)
	<-called
	eventually(t, "it is back at the first one", func() bool {
		number, up := node.Connection()
		return up && number > first
	})
}

// A broker that knows the password before, and no other, lets the node in, as does one that has learned the new one
// since; so that a node whose key changes is not shut out by a file of passwords.
func TestAPasswordBeforeTheChange(t *testing.T) {
	onEachBroker(t, func(t *testing.T, r *rig) {
		config := r.config(t, "node-1")
		node, _ := start(t, config)
		number := connected(t, node)
		for _, change := range []struct{ now, before string }{
			{"of the new key", config.Password},                    // the broker knows the old one
			{"of the key after that", "of a key long before that"}, // and then neither
			{config.Password, "of a key long before that"},         // and then the new one
		} {
			node.UseAccount(config.User, change.now, change.before)
			node.Reconnect(false)
			if change.now != config.Password && change.before != config.Password {
				eventually(t, "it is refused", func() bool { return node.Err() != nil })
				continue
			}
			eventually(t, "it is connected again", func() bool {
				next, up := node.Connection()
				return up && next > number
			})
			number, _ = node.Connection()
		}
	})
}
