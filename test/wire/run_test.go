package wire

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	"github.com/skerry-edge/skerry/master/nodelink"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// The shells around both loops, with real goroutines and a real clock: a node joins, its pod is reported, frames
// of several goroutines keep their order, and both loops end with their context.
func TestShells(t *testing.T) {
	topics, err := protocol.NewTopics("default")
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	source := func() clock.Now { return clock.Now{Wall: time.Now(), Boot: time.Hour + time.Since(started)} }
	broker := bus.NewMemory(bus.MemoryConfig{})
	w := &world{t: t, now: source(), store: store.NewMemory(store.Config{Schema: resource.Schema()})}
	line := broker.Client(bus.ClientConfig{ID: "master"})
	frames := &counter{}
	master := nodelink.New(nodelink.Config{
		Store: w.store, Bus: line, Topics: topics, Run: seal.Run{Number: 1}, Settings: settings,
		Cluster: cluster.Name, Key: cluster.Keys.Exchange, Sign: cluster.Sign,
		Frames: frames, Clock: source, Rand: rand.Reader, Logger: zerolog.Nop(),
	})
	local, keys := &still{}, cluster.NewNode("n1")
	w.join("n1", keys)
	var agent *masterlink.Link
	client := broker.Client(bus.ClientConfig{ID: "n1", Will: func(n uint64) (string, []byte) { return agent.Will(n) }})
	agent = masterlink.New(masterlink.Config{
		Bus: client, Topics: topics, Node: "n1", Run: seal.Run{Number: 1}, Settings: settings,
		LeaderKey: cluster.Verify(), Box: keys.Box(), Keys: keys,
		Disk: &disk{}, Local: local, Clock: source, Rand: rand.Reader, Logger: zerolog.Nop(),
	})
	for _, c := range []*bus.Client{line, client} {
		if err := c.Connect(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	loops.Go(func() {
		if err := master.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	loops.Go(func() {
		if err := agent.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	until(t, "the node has an object", func() bool { return w.store.View().Count(resource.Nodes.Kind) == 1 })
	w.bind("a", "u1", "n1")
	until(t, "the pod has reached its node", func() bool { return local.pods() == 1 })

	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range 50 {
				if err := agent.SendFrame([]byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	// A number that overtook another one would be refused.
	until(t, "all frames have arrived", func() bool { return frames.value() == 200 })
	stop()
	loops.Wait()
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened that %s", what)
		}
	}
}

// still is a node on which nothing ever happens.
type still struct {
	mu     sync.Mutex
	wanted int
}

func (s *still) Accept(content message.Content) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = len(content.Pods)
}

func (s *still) pods() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted
}

func (s *still) Statuses() (uint64, []message.PodStatus) { return 1, nil }
func (s *still) Node() []byte                            { return nil }
func (s *still) Readings() message.Readings              { return message.Readings{} }
func (s *still) Unconfirm()                              {}
func (s *still) Grant(message.Grant)                     {}
func (s *still) Permits() (bool, uint64)                 { return false, 0 }
func (s *still) Release([]string)                        {}
func (s *still) TakeReleased() []string                  { return nil }
func (s *still) TakeEvents() []message.Event             { return nil }

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) Deliver(string, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *counter) value() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
