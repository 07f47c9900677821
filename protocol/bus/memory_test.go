package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/bus/bustest"
)

// contractClient is a Client as the contract wants it.
type contractClient struct {
	*bus.Client
	memory *bus.Memory
	id     string
	t      *testing.T
}

func (c contractClient) Break() {
	c.memory.Drop(c.id)
	c.Lose()
}

func (c contractClient) Reconnect() {
	if err := c.Connect(); err != nil {
		c.t.Error(err)
	}
}

func (c contractClient) Close() { c.Disconnect() }

func TestContract(t *testing.T) {
	bustest.Run(t, func(*testing.T) bustest.Connect {
		memory := bus.NewMemory(bus.MemoryConfig{})
		return func(t *testing.T, id string, will func(uint64) (string, []byte)) bustest.Client {
			c := contractClient{memory.Client(bus.ClientConfig{ID: id, Will: will}), memory, id, t}
			c.Reconnect()
			return c
		}
	})
}

// rig is a Memory with two clients, one of which listens to everything.
type rig struct {
	*bus.Memory
	from, to *bus.Client
	inbox    *bus.Inbox
	woken    int
}

func newRig(t *testing.T, config bus.MemoryConfig) *rig {
	t.Helper()
	r := &rig{Memory: bus.NewMemory(config)}
	r.from = r.Client(bus.ClientConfig{ID: "from", Will: func(uint64) (string, []byte) { return "will", []byte("gone") }})
	r.to = r.Client(bus.ClientConfig{ID: "to"})
	r.inbox = bus.NewInbox(100, func() { r.woken++ })
	if err := errors.Join(r.to.Subscribe("#", 1, r.inbox), r.from.Connect(), r.to.Connect()); err != nil {
		t.Fatal(err)
	}
	r.woken = 0
	return r
}

func (r *rig) publish(t *testing.T, payload string) {
	t.Helper()
	if err := r.from.Publish("topic", []byte(payload), 0, false); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) expect(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, m := range r.inbox.Drain() {
		got = append(got, string(m.Payload))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
}

// In the hands of a simulation packets are dropped, repeated and swapped, on either link.
func TestHeldPackets(t *testing.T) {
	r := newRig(t, bus.MemoryConfig{Held: true})
	for i := range 3 {
		r.publish(t, fmt.Sprint(i))
	}
	r.expect(t)
	up := r.Take()
	if len(up) != 3 || !up[0].Up || up[0].Client != "from" || r.woken != 0 {
		t.Fatalf("in flight: %v", up)
	}
	for _, i := range []int{2, 0, 0} { // 1 is lost, 0 comes twice and late
		if !r.Deliver(up[i]) {
			t.Fatal("the packet is lost")
		}
	}
	r.expect(t)
	down := r.Take()
	if len(down) != 3 || down[0].Up || down[0].Client != "to" {
		t.Fatalf("in flight: %v", down)
	}
	slices.Reverse(down)
	for _, p := range down {
		r.Deliver(p)
	}
	r.expect(t, "0", "0", "2")
	if r.woken != 3 {
		t.Fatalf("woken %d times", r.woken)
	}
	r.publish(t, "3")
	if n := r.DeliverAll(); n != 2 {
		t.Fatalf("delivered %d packets", n)
	}
	r.expect(t, "3")
}

func TestHeldQueueIsBounded(t *testing.T) {
	r := newRig(t, bus.MemoryConfig{Held: true, Queue: 2})
	r.publish(t, "1")
	r.publish(t, "2")
	if err := r.from.Publish("topic", []byte("3"), 1, false); !errors.Is(err, bus.ErrFull) {
		t.Fatalf("got %v", err)
	}
	r.DeliverAll()
	r.publish(t, "4")
	r.DeliverAll()
	r.expect(t, "1", "2", "4")
}

// A link that is cut swallows packets, and nobody notices until told.
func TestCut(t *testing.T) {
	for _, test := range []struct {
		client   string
		up, down bool
		want     []string
	}{
		{"from", true, false, nil},
		{"from", false, true, []string{"1"}},
		{"to", true, false, []string{"1"}},
		{"to", false, true, nil},
	} {
		r := newRig(t, bus.MemoryConfig{})
		r.Cut(test.client, test.up, test.down)
		r.publish(t, "1")
		r.expect(t, test.want...)
		if _, up := r.from.Connection(); !up {
			t.Fatal("the client noticed")
		}
		r.Cut(test.client, false, false)
		r.publish(t, "2")
		r.expect(t, "2")
	}
	r := newRig(t, bus.MemoryConfig{})
	r.Cut("from", false, true)
	r.from.Lose()
	if err := r.from.Connect(); !errors.Is(err, bus.ErrUnreachable) {
		t.Fatalf("got %v", err)
	}
	r.Drop("from")
	r.expect(t, "gone")
	r.Cut("from", false, false)
	if err := r.from.Connect(); err != nil {
		t.Fatal(err)
	}
	r.publish(t, "3")
	r.expect(t, "3")
}

// The two ends of a connection learn of its end at different times; packets of it are lost in between.
func TestEndsOfAConnection(t *testing.T) {
	r := newRig(t, bus.MemoryConfig{Held: true})
	r.publish(t, "1")
	held := r.Take()
	r.Drop("from") // the broker gave up; the client goes on talking
	r.publish(t, "2")
	r.DeliverAll()
	r.expect(t, "gone")
	if r.Deliver(held[0]) {
		t.Fatal("a packet outlived its connection")
	}
	if err := r.from.Connect(); err != nil {
		t.Fatal(err)
	}
	if r.Deliver(held[0]) {
		t.Fatal("a packet went over to the next connection")
	}
	r.publish(t, "3")
	r.DeliverAll()
	r.expect(t, "3")
}

// A client that connects anew, or under another's id, takes over: the broker speaks the old will.
func TestTakeover(t *testing.T) {
	r := newRig(t, bus.MemoryConfig{})
	if err := r.from.Connect(); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "gone")
	twin := r.Client(bus.ClientConfig{ID: "from"})
	if err := twin.Connect(); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "gone")
	if number, up := r.from.Connection(); up || number != 2 {
		t.Fatalf("the first one has connection %d, up: %v", number, up)
	}
	r.publish(t, "void")
	r.expect(t)
	if number, up := twin.Connection(); !up || number != 1 {
		t.Fatalf("the second one has connection %d, up: %v", number, up)
	}
}

func TestTheBrokerForgets(t *testing.T) {
	r := newRig(t, bus.MemoryConfig{})
	for _, topic := range []string{"n/a/desired", "n/b/desired"} {
		if err := r.from.Publish(topic, []byte(topic), 1, true); err != nil {
			t.Fatal(err)
		}
	}
	r.expect(t, "n/a/desired", "n/b/desired")
	r.Forget("n/a/#")
	if r.Retained("n/a/desired") != nil || string(r.Retained("n/b/desired")) != "n/b/desired" {
		t.Fatal("the wrong one was forgotten")
	}
	if err := r.to.Connect(); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "n/b/desired")
	r.Restart()
	if _, up := r.to.Connection(); up || r.Retained("n/b/desired") != nil {
		t.Fatal("the restart went unnoticed")
	}
	if err := r.to.Connect(); err != nil {
		t.Fatal(err)
	}
	r.expect(t) // no will either
}
