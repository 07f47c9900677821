package masterlink

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/edgeagent/masterlink/peer"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/bus/sealed"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// ErrOffline is returned by SendFrame while no master has answered this run.
var ErrOffline = errors.New("the master is not connected")

// The messages that wait for a Step are bounded. Most are frames of streams: credit bounds their bytes, not their
// number, so that a burst of small writes within one window is thousands of messages. One that finds no room breaks
// its stream.
const (
	inboxLimit = 4096
	inboxBytes = 8 << 20 // a desired state, of half a MiB at most, and the windows of dozens of streams
)

// Disk keeps what must outlive the process. Its methods return after an fsync.
type Disk interface {
	// Desired is the stored desired state; a zero position means that there is none. content is an encoded
	// message.Content, digest is its digest.
	Desired() (position message.Position, digest message.Digest, content []byte, err error)
	// KeepDesired replaces it.
	KeepDesired(position message.Position, digest message.Digest, content []byte) error
	// KeepPosition renumbers it without writing the content again.
	KeepPosition(position message.Position) error
	// Epoch is the highest epoch ever seen.
	Epoch() (message.Epoch, error)
	// KeepEpoch raises it.
	KeepEpoch(epoch message.Epoch) error
}

// Local is the node itself. Its methods don't block; whoever implements it calls Link.Wake when a status, the
// node or the events changed. What it returns is not changed by either side.
type Local interface {
	// Accept tells the node what to run from now on. Repeating it changes nothing.
	Accept(content message.Content)
	// Statuses are those of all pods that are on the node or shall be; version changes whenever they do.
	Statuses() (version uint64, pods []message.PodStatus)
	// TakeEvents returns what happened to pods since the last call.
	TakeEvents() []message.Event
	// Grant takes in what the master permits to run of the pods that must be single.
	Grant(grant message.Grant)
	// Unconfirm says that a master has answered this run: the node asks it again what it may run.
	Unconfirm()
	// Permits reports whether the node needs a permit; waits changes when another pod begins to wait for one.
	Permits() (asks bool, waits uint64)
	// Release asks about pods; TakeReleased returns those of which nothing is left, since the last call.
	Release(pods []string)
	TakeReleased() []string
	// Node is the node's own status and labels, a corev1.Node as protobuf; equal when nothing changed.
	Node() []byte
	// Readings are the newest.
	Readings() message.Readings
}

// Keys keeps the node's key pairs. Its methods return after an fsync, and may be repeated.
type Keys interface {
	// Next is the public key of the pair that the node will use next. It makes one, unless there is one already.
	Next() ([32]byte, error)
	// Use makes the pair of this public key the node's own, unless it is already, and returns the box of its
	// private key, which the link uses from then on. It fails for a key that Next has not returned.
	Use(next [32]byte) (*seal.Box, error)
	// Revoked notes when the node was removed from the cluster, in Unix seconds of the master's clock.
	// Config.Revoked tells the next run.
	Revoked(at int64) error
}

// Frames takes the frames of streams that the master sends. Deliver must not block; it owns frame.
type Frames interface{ Deliver(frame []byte) }

// Config is what a Link needs.
type Config struct {
	Bus    bus.Bus
	Topics protocol.Topics
	Node   string   // the node's name
	Run    seal.Run // of this process
	// BootID is the kernel's, Version the agent's; both are for people.
	BootID, Version string
	// LeaderKey verifies who leads.
	LeaderKey ed25519.PublicKey
	// Box seals what goes to the master and opens what comes from it, until Keys gives another one.
	Box  *seal.Box
	Keys Keys
	// Revoked is when an earlier run was told that the node was removed from the cluster, Unix seconds; 0: it was not.
	Revoked int64
	// Settings hold until the master decides; see peer.Config.
	Settings message.Settings

	Disk   Disk
	Local  Local
	Frames Frames // nil: frames are dropped

	Clock  clock.Source
	Rand   io.Reader // challenges and jitter
	Logger zerolog.Logger
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
	// Wake, if set, is called from any goroutine whenever Step has something to do. Run needs none.
	Wake func()
	// Brokers, if set, is told which brokers the masters have, whenever a desired state says so. It must not block.
	Brokers func(urls []string)
	// Reconnect, if set, ends the connection to the broker, so that the bus makes another one: with the next broker
	// of its list, or with the same one. It must not block.
	Reconnect func(nextBroker bool)
}

// Link is the agent's end of the wire. Step and Run belong to one goroutine; all else is safe for everybody.
type Link struct {
	config Config
	log    zerolog.Logger
	sender *sealed.Sender
	route  atomic.Pointer[route]
	inbox  *bus.Inbox
	wake   chan struct{}

	peer       *peer.Peer // nil before the first Step
	connection uint64
	up         bool

	health  atomic.Pointer[Health]
	metrics metrics
}

// route is what a message needs to be sealed for the master that leads.
type route struct {
	box    *seal.Box
	master seal.Run
}

// Health is what the link looks like from outside.
type Health struct {
	Connected bool              // to a broker
	Welcomed  bool              // the leader has answered this run
	Answered  bool              // no hello has waited for longer than a node-timeout
	Revoked   int64             // when the node was removed from the cluster, Unix seconds of the master; 0: it was not
	Refused   map[string]uint64 // messages not acted upon, by reason
	Dropped   uint64            // messages that found no room
	Settings  message.Settings  // as the master decided, or those of Config
}

// New returns a link that has done nothing yet.
func New(config Config) *Link {
	l := &Link{config: config, log: config.Logger, wake: make(chan struct{}, 1)}
	l.sender = sealed.NewSender(config.Bus, config.Run)
	l.route.Store(&route{box: config.Box})
	l.inbox = bus.NewInboxOfBytes(inboxLimit, inboxBytes, l.Wake)
	l.health.Store(&Health{Answered: true, Settings: config.Settings})
	l.metrics = newMetrics(config.Registerer, l)
	return l
}

// Wake makes Run call Step soon.
func (l *Link) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
	if l.config.Wake != nil {
		l.config.Wake()
	}
}

// Health is how the link was after the last Step.
func (l *Link) Health() Health { return *l.health.Load() }

// Will is the message that the broker shall send when connection number is lost: it takes the node's presence
// back. The bus asks for it before each connection.
func (l *Link) Will(connection uint64) (topic string, payload []byte) {
	m := message.Presence{Online: false, Connection: connection}
	topic = l.config.Topics.Node(l.config.Node, protocol.Presence)
	return topic, l.sender.Seal(l.route.Load().box, seal.Run{}, topic, m)
}

// SendFrame sends a frame of a stream; it does not block. Frames keep their order; one that is lost shows at
// the other end as a gap.
func (l *Link) SendFrame(frame []byte) error {
	if !l.Health().Welcomed {
		return ErrOffline
	}
	return l.send(protocol.Response, message.Response{Frame: frame}, 0, false)
}

// send seals a message for the master that leads; hello and presence are for whichever comes.
func (l *Link) send(channel string, m any, qos byte, retain bool) error {
	r := l.route.Load()
	to := r.master
	if channel == protocol.Hello || channel == protocol.Presence {
		to = seal.Run{}
	}
	err := l.sender.Send(r.box, to, l.config.Topics.Node(l.config.Node, channel), m, qos, retain)
	if err == nil {
		l.metrics.sent.WithLabelValues(channel).Inc()
	}
	return err
}

// chance draws the randomness for one input.
func (l *Link) chance() (peer.Chance, error) {
	var b [16]byte
	if _, err := io.ReadFull(l.config.Rand, b[:]); err != nil {
		return peer.Chance{}, fmt.Errorf("draw random numbers: %w", err)
	}
	return peer.Chance{
		Challenge: binary.BigEndian.Uint64(b[:8]) | 1,
		Fraction:  float64(binary.BigEndian.Uint64(b[8:])>>11) / (1 << 53),
	}, nil
}
