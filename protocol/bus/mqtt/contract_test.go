package mqtt_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/skerry-edge/skerry/protocol/bus/bustest"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
)

// The contract of a bus, over the embedded broker and over a real mosquitto.
func TestContract(t *testing.T) {
	for name, begin := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := begin(t)
			bustest.Run(t, func(*testing.T) bustest.Connect {
				return func(t *testing.T, id string, will func(uint64) (string, []byte)) bustest.Client {
					config := r.master(t)
					config.ClientID = mqtt.MasterClientID(cluster, id)
					config.Will = will
					config.TakeLeave = true
					gate := &gate{dial: r.dial, pass: make(chan struct{})}
					gate.Reconnect()
					config.Dial = gate.open
					b, stop := start(t, config)
					return client{b, gate, stop}
				}
			})
		})
	}
}

// client is a bus whose link can be cut.
type client struct {
	*mqtt.Bus
	*gate
	stop func()
}

// Close implements bustest.Client.
func (c client) Close() { c.stop() }

// Reconnect implements bustest.Client: it lets the bus, which tries again by itself, through.
func (c client) Reconnect() { c.gate.Reconnect() }

// gate is a way to the broker that can be closed.
type gate struct {
	dial func(context.Context) (net.Conn, error)

	mu   sync.Mutex
	pass chan struct{} // closed while the gate is open
	conn net.Conn
}

func (g *gate) open(ctx context.Context) (net.Conn, error) {
	g.mu.Lock()
	pass := g.pass
	g.mu.Unlock()
	select {
	case <-pass:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := g.dial(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conn = conn
	return conn, err
}

// Break implements bustest.Client.
func (g *gate) Break() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass = make(chan struct{})
	g.conn.Close()
}

// Reconnect implements bustest.Client.
func (g *gate) Reconnect() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.pass)
}
