package nodelink

import (
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink/desired"
	"github.com/skerry-edge/skerry/master/nodelink/peer"
	"github.com/skerry-edge/skerry/master/nodelink/permit"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/bus/sealed"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// ErrOffline is returned by SendFrame for a node that no current run is known of.
var ErrOffline = errors.New("the node is not connected")

// inboxLimit bounds the messages that wait for a Step: a heartbeat and a status of each of 8,000 nodes.
const inboxLimit = 16384

// Frames takes the frames of streams that nodes send. Deliver must not block; it owns frame.
type Frames interface {
	Deliver(node string, frame []byte)
}

// Config is what a Link needs.
type Config struct {
	Store    store.Store
	Bus      bus.Bus
	Topics   protocol.Topics
	Cluster  string           // its name
	Key      *ecdh.PrivateKey // the cluster's, X25519; those of the nodes are in the store
	Run      seal.Run         // of this process
	Master   string           // host name, for the logs of agents
	Settings message.Settings // for every node whose link is not metered; both must be set
	// Brokers, if set, are the embedded brokers of all masters, for nodes to choose from; it answers at once.
	Brokers func() []string
	// Outranked, if set, is told of an epoch that a node has seen and that is higher than this master's; it must not block.
	Outranked func(change.Epoch)
	// Sign signs the leader's announcements; nil: they are not signed.
	Sign   func([]byte) []byte
	Frames Frames // nil: frames are dropped
	// Elsewhere reports whether another master, which led before and may be cut off, may still grant permits. Nil: none may.
	Elsewhere func() bool
	// Apart reports whether another master may lead by now, as when this one is cut off from etcd. Nil: none may.
	Apart func() bool
	// Advance makes the store begin an epoch newer than beyond, if its own isn't: the nodes have seen that one. nil: it is
	// not for this master to decide.
	Advance func(beyond change.Epoch) error

	Clock      clock.Source
	Rand       io.Reader // challenges
	Logger     zerolog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	// Wake, if set, is called from any goroutine whenever Step has something to do. Run needs none.
	Wake func()
}

// Link is the master's end of the wire. Step and Run belong to one goroutine; SendFrame is safe for everybody.
type Link struct {
	config  Config
	log     zerolog.Logger
	metrics metrics
	sender  *sealed.Sender
	inbox   *bus.Inbox
	wake    chan struct{}

	started bool
	cursors []store.Cursor
	epoch   message.Epoch
	packer  *message.Packer
	book    *desired.Book
	keys    map[string]*keys
	rotate  map[string]string // by node, what RotateAnnotation says
	nodes   map[string]*node
	reports []report // of this Step
	permits *permit.Book
	curious map[string]bool   // nodes that were heard, and are to be asked about slots
	asking  map[string]uint64 // nodes that ask for a permit in this Step
	publish map[string]bool   // nodes whose document is to be sent, changed or not
	retryAt clock.Now         // when to try again what did not go out

	announcement announcement
	line         line
	paces        paces
	states       map[string]nodeState
	recount      bool // one of them has changed
	rank         rank
	seen         seen
	self         *seal.Box // for what this master sends to itself,
	selfEnd      *seal.Box // and for opening it

	mu      sync.Mutex
	current map[string]target // the current runs, for SendFrame
}

// node is one node's conversation.
type node struct {
	peer      peer.Peer
	current   target    // the run that has proven to be
	sent      bool      // its newest document was published in this epoch,
	published clock.Now // then
}

// New returns a link that has done nothing yet.
func New(config Config) *Link {
	l := &Link{
		config:  config,
		log:     config.Logger,
		metrics: newMetrics(config.Registerer),
		sender:  sealed.NewSender(config.Bus, config.Run),
		wake:    make(chan struct{}, 1),
		packer:  message.NewPacker(),
		keys:    map[string]*keys{},
		rotate:  map[string]string{},
		nodes:   map[string]*node{},
		permits: permit.NewBook(permit.Config{}), // of the time before the first Step
		asking:  map[string]uint64{},
		curious: map[string]bool{},
		publish: map[string]bool{},
		retryAt: clock.Never,
		paces:   newPaces(config.Settings),
		states:  map[string]nodeState{},
		seen:    newSeen(config.Settings),
		current: map[string]target{},
	}
	l.inbox = bus.NewSharedInbox(inboxLimit, l.sharer, l.countDropped, l.awake)
	return l
}

// sharer is the node whose share of the inbox a message takes: no node keeps out the heartbeats of the others.
func (l *Link) sharer(topic string) string {
	name, _, _ := l.config.Topics.Parse(topic)
	return name // of a probe: none
}

func (l *Link) countDropped(topic string) {
	_, channel, ok := l.config.Topics.Parse(topic)
	if !ok {
		channel = "probe"
	}
	l.metrics.dropped.WithLabelValues(channel).Inc()
}

// Wake makes Run call Step soon.
func (l *Link) Wake() { l.awake() }

// awake makes Run call Step soon.
func (l *Link) awake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
	if l.config.Wake != nil {
		l.config.Wake()
	}
}

// SendFrame sends a frame of a stream to a node; it does not block. Frames keep their order; one that is lost
// shows at the other end as a gap.
func (l *Link) SendFrame(node string, frame []byte) error {
	l.mu.Lock()
	to, ok := l.current[node]
	l.mu.Unlock()
	if !ok {
		return fmt.Errorf("send a frame to %s: %w", node, ErrOffline)
	}
	return l.sender.Send(to.box, to.run, l.config.Topics.Node(node, protocol.Request), message.Request{Frame: frame}, 0, false)
}

// setCurrent notes where frames for a node go; a zero target: nowhere.
func (l *Link) setCurrent(node string, to target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to.box == nil {
		delete(l.current, node)
	} else {
		l.current[node] = to
	}
	l.metrics.current.Set(float64(len(l.current)))
}

// challenge draws one.
func (l *Link) challenge() (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(l.config.Rand, b[:]); err != nil {
		return 0, fmt.Errorf("draw a challenge: %w", err)
	}
	return binary.BigEndian.Uint64(b[:]) | 1, nil
}
