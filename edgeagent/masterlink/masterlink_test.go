package masterlink_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

// A burst of small frames, within what credit allows, waits for a slow node as a whole; a flood is bounded, by
// number and by bytes.
func TestABurstOfSmallFramesFindsRoom(t *testing.T) {
	for name, c := range map[string]struct {
		messages, size int
		drops          bool
	}{
		"small frames":      {messages: 4000, size: 32},
		"too many":          {messages: 5000, size: 32, drops: true},
		"too many bytes":    {messages: 20, size: 500 << 10, drops: true},
		"one desired state": {messages: 1, size: message.MaxPacked},
	} {
		t.Run(name, func(t *testing.T) {
			topics, err := protocol.NewTopics("default")
			if err != nil {
				t.Fatal(err)
			}
			broker := bus.NewMemory(bus.MemoryConfig{})
			client, master := broker.Client(bus.ClientConfig{ID: "n1"}), broker.Client(bus.ClientConfig{ID: "master"})
			now := clock.Now{Wall: time.Unix(1_800_000_000, 0), Boot: time.Hour}
			keys := sealtest.NewCluster("default").NewNode("n1")
			link := masterlink.New(masterlink.Config{
				Bus: client, Topics: topics, Node: "n1", Run: seal.Run{Number: 1}, Disk: nothing{}, Local: nothing{},
				LeaderKey: keys.Cluster.Verify(), Box: keys.Box(), Keys: keys,
				Settings: message.Settings{HeartbeatMillis: 10_000, TimeoutMillis: 30_000},
				Clock:    func() clock.Now { return now }, Rand: rand.Reader, Logger: zerolog.Nop(),
			})
			for _, c := range []*bus.Client{client, master} {
				if err := c.Connect(); err != nil {
					t.Fatal(err)
				}
			}
			step := func() {
				t.Helper()
				if _, err := link.Step(now); err != nil {
					t.Fatal(err)
				}
			}
			step()
			for range c.messages {
				if err := master.Publish(topics.Node("n1", protocol.Request), make([]byte, c.size), 0, false); err != nil {
					t.Fatal(err)
				}
			}
			step()
			if dropped := link.Health().Dropped; (dropped > 0) != c.drops {
				t.Errorf("%d of %d messages were dropped", dropped, c.messages)
			}
		})
	}
}

// nothing is a node that has nothing on its disk, and on which nothing happens.
type nothing struct{}

func (nothing) Desired() (message.Position, message.Digest, []byte, error) {
	return message.Position{}, message.Digest{}, nil, nil
}
func (nothing) KeepDesired(message.Position, message.Digest, []byte) error { return nil }
func (nothing) KeepPosition(message.Position) error                        { return nil }
func (nothing) Epoch() (message.Epoch, error)                              { return message.Epoch{}, nil }
func (nothing) KeepEpoch(message.Epoch) error                              { return nil }
func (nothing) Accept(message.Content)                                     {}
func (nothing) Statuses() (uint64, []message.PodStatus)                    { return 1, nil }
func (nothing) Unconfirm()                                                 {}
func (nothing) Grant(message.Grant)                                        {}
func (nothing) Permits() (bool, uint64)                                    { return false, 0 }
func (nothing) Release([]string)                                           {}
func (nothing) TakeReleased() []string                                     { return nil }
func (nothing) TakeEvents() []message.Event                                { return nil }
func (nothing) Node() []byte                                               { return nil }
func (nothing) Readings() message.Readings                                 { return message.Readings{} }
