package broker

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/gate"
)

// MasterUser is the account of masters elsewhere, which may do everything. It is no valid node name.
const MasterUser = "@master"

// DefaultMaxNodes is the number of connections that a broker takes unless told otherwise.
const DefaultMaxNodes = 1024

// Limits of a connection.
const (
	maxUnknown      = 128              // connections that have not authenticated yet, see package gate
	maxUnknownFrom  = 64               // of them from one address, which may be that of a whole site
	unknownGrace    = 5 * time.Second  // that a client has on a thin link, before a newer one may take its place
	maxConnect      = 4 << 10          // bytes of a CONNECT packet, will included
	connectTimeout  = 15 * time.Second // for TLS and CONNECT
	writeTimeout    = 20 * time.Second // for 16 kB; a client that takes longer is gone
	backlog         = 2 << 20          // bytes that wait to be written to a client; it must hold a few desired states
	maxPending      = 256              // messages queued for a connection; mochi's 8192 cost 56 kB each
	maxInflight     = 256              // of QoS 1 not acknowledged by a client
	maxKeepAlive    = 20 * time.Minute
	headerAllowance = 1 << 10 // a PUBLISH's topic and headers
	// mochi publishes its statistics under $SYS, which nobody may read, and stops the world to do so.
	sysInterval = 24 * time.Hour
)

// Config says for whom the broker works.
type Config struct {
	Topics  protocol.Topics
	Cluster string
	// Listener accepts the nodes' TCP connections; Run closes it.
	Listener net.Listener
	TLS      *tls.Config // nil: no encryption, for tests
	// Accounts are those of the nodes and of who joins.
	Accounts Accounts
	// MasterPassword is the password of MasterUser; empty: nobody has that account.
	MasterPassword string
	MaxNodes       int // 0 means DefaultMaxNodes
	// Closed says that no node is let in before LetIn(true).
	Closed   bool
	Clock    clock.Source // nil means the machine's
	Log      zerolog.Logger
	Registry prometheus.Registerer // nil: no metrics
}

// Accounts knows who may connect. Its methods answer at once and are called from many goroutines. Passwords travel as
// their SHA-256: they are random, and equal lengths compare in constant time.
type Accounts interface {
	// Node are the passwords that the node of this name may show; none: there is no such node. Nobody changes what is
	// returned.
	Node(name string) [][sha256.Size]byte
	// Removed reports whether the node was removed from the cluster: it may still ask, and be told so.
	Removed(name string) bool
	// Join reports whether this is the password of a join token, also of one that is no longer good: that it is not
	// is for the master to say.
	Join(password [sha256.Size]byte) bool
}

// Broker serves from Run on.
type Broker struct {
	config Config
	server *mochi.Server
	access *access
	gate   *gate.Gate
	nodes  *listener

	mu      sync.Mutex
	running bool
	locals  []*Local
}

// New prepares a broker.
func New(config Config) (*Broker, error) {
	if config.MaxNodes == 0 {
		config.MaxNodes = DefaultMaxNodes
	}
	if config.Clock == nil {
		config.Clock = daemon.Clock
	}
	capabilities := mochi.NewDefaultServerCapabilities()
	capabilities.MaximumClients = int64(config.MaxNodes)
	capabilities.MaximumClientWritesPending = maxPending
	capabilities.MaximumInflight = maxInflight
	capabilities.MaximumPacketSize = bus.MaxPayload + headerAllowance
	capabilities.MaximumMessageExpiryInterval = 0 // retained messages stay
	capabilities.MaximumSessionExpiryInterval = 0
	capabilities.MinimumProtocolVersion = 4
	capabilities.MaximumQos = 1
	capabilities.SharedSubAvailable = 0
	b := &Broker{
		config: config,
		server: mochi.New(&mochi.Options{
			Capabilities:           capabilities,
			Logger:                 slog.New(slog.DiscardHandler), // it would log payloads
			SysTopicResendInterval: int64(sysInterval / time.Second),
			InlineClient:           true, // for Local
		}),
	}
	b.access = newAccess(config, b.server)
	if err := b.server.AddHook(b.access, nil); err != nil {
		return nil, fmt.Errorf("prepare the broker: %w", err)
	}
	b.gate = gate.New(gate.Config{
		Listener: config.Listener, MaxOpen: config.MaxNodes + maxUnknown, MaxUnknown: maxUnknown, MaxUnknownFrom: maxUnknownFrom,
		Grace: unknownGrace, Clock: config.Clock,
	})
	b.nodes = newListener("nodes", b.gate, config.TLS, config.Log)
	b.nodes.letIn(!config.Closed)
	if err := b.server.AddListener(b.nodes); err != nil {
		return nil, fmt.Errorf("prepare the broker: %w", err)
	}
	return b, b.register()
}

// LetIn says whether nodes may be connected: those of a master that does not lead would wait for nothing. Who is refused
// tries the next broker of its list.
func (b *Broker) LetIn(yes bool) { b.nodes.letIn(yes) }

// Run serves until ctx ends.
func (b *Broker) Run(ctx context.Context) error {
	if err := b.server.Serve(); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	b.setRunning(true)
	<-ctx.Done()
	b.setRunning(false)
	if err := b.server.Close(); err != nil {
		return fmt.Errorf("stop the broker: %w", err)
	}
	return nil
}

func (b *Broker) register() error {
	if b.config.Registry == nil {
		return nil
	}
	read := func(n *int64) func() float64 { return func() float64 { return float64(atomic.LoadInt64(n)) } }
	info := b.server.Info
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skerry_broker_clients", Help: "Connected clients."}, read(&info.ClientsConnected)),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skerry_broker_retained", Help: "Retained messages."}, read(&info.Retained)),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skerry_broker_messages_received_total", Help: "Messages from clients."}, read(&info.MessagesReceived)),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skerry_broker_messages_sent_total", Help: "Messages to clients."}, read(&info.MessagesSent)),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skerry_broker_messages_dropped_total", Help: "Messages dropped because a client was too slow."}, read(&info.MessagesDropped)),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skerry_broker_refused_total", Help: "Connections refused for their account, client id or will."},
			func() float64 { return float64(b.access.refused.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skerry_broker_connections_pushed_out_total", Help: "Connections of unknown clients that were closed for newer ones."},
			func() float64 { return float64(b.gate.Pushed()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "skerry_broker_connections_refused_total", Help: "Connections that found no place."},
			func() float64 { return float64(b.gate.Refused()) }),
	} {
		if err := b.config.Registry.Register(c); err != nil {
			return fmt.Errorf("register the broker's metrics: %w", err)
		}
	}
	return nil
}
