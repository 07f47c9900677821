package broker

import (
	"testing"

	"github.com/skerry-edge/skerry/protocol/bus/bustest"
)

// local is a Local whose connection can be cut, as it is when the broker ends and begins again.
type local struct {
	*Local
	t    *testing.T
	will func(uint64) (string, []byte)
}

// Break implements bustest.Client. A Local has no will; here one speaks for it, as the suite wants to hear it.
func (l local) Break() {
	number, up := l.Connection()
	l.connect(false)
	if l.will == nil || !up {
		return
	}
	topic, payload := l.will(number)
	if err := l.server.Publish(topic, payload, true, 1); err != nil {
		l.t.Error(err)
	}
}

// Reconnect implements bustest.Client.
func (l local) Reconnect() { l.connect(true) }

// Close implements bustest.Client.
func (l local) Close() { l.connect(false) }

// The contract of a bus, for the clients inside the broker's process.
func TestContract(t *testing.T) {
	b, _ := serve(t, nil)
	startMaster(t, b)
	bustest.Run(t, func(*testing.T) bustest.Connect {
		return func(t *testing.T, _ string, will func(uint64) (string, []byte)) bustest.Client {
			c := local{b.Local(), t, will}
			t.Cleanup(c.Close)
			return c
		}
	})
}
