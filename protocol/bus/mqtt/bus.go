package mqtt

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Config says how to reach the broker, and as whom.
type Config struct {
	// Brokers are alternatives, tried in this order and round again.
	Brokers []Broker
	// Dial, when set, connects to the broker instead, with or without Brokers.
	Dial func(context.Context) (net.Conn, error)

	ClientID string // unique on the broker
	// User and Password are the account, unless a broker's URL names another. A broker that refuses Password is shown
	// PasswordBefore, if there is one: it may have a file of passwords that nobody has brought up to date.
	User, Password, PasswordBefore string
	// PinnedCA is the hash of the authority that must have signed the broker's certificate; validity dates are
	// not looked at. Zero: the system's authorities, with dates.
	PinnedCA seal.CAHash

	// Will returns what the broker shall publish, retained and with QoS 1, when the connection with this
	// number breaks. nil: nothing.
	Will func(connection uint64) (topic string, payload []byte)
	// TakeLeave keeps the will silent when Run ends. Otherwise the connection is simply closed then.
	TakeLeave bool
	// KeepAlive is how long a connection may be idle before it is tested; 0 means DefaultKeepAlive.
	KeepAlive time.Duration
	// BackoffCap is the longest pause between attempts; nil means MaxBackoff. It may change.
	BackoffCap func() time.Duration

	// QueueMessages and QueueBytes bound what waits to be sent; 0 means 1024 messages and 4 MiB.
	QueueMessages, QueueBytes int

	Log      zerolog.Logger
	Registry prometheus.Registerer // nil: no metrics
}

// Times of a connection.
const (
	// DefaultKeepAlive is long because heartbeats test the connection: a broker that does not acknowledge
	// their TCP segments within stallTimeout is gone.
	DefaultKeepAlive = 4 * time.Minute
	// MaxBackoff is the design's longest pause.
	MaxBackoff = time.Minute
	// connectTimeout covers name resolution, TCP, TLS and CONNACK, on slow boards and thin links.
	connectTimeout = 30 * time.Second
	stallTimeout   = 30 * time.Second
	stableAfter    = time.Minute
)

// Bus is a bus.Bus over one broker at a time. Run must be called for it to do anything.
type Bus struct {
	config Config

	mu         sync.Mutex
	up         bool
	number     uint64 // of the last connection that came up
	err        error  // why there is no connection; nil while there is
	subscribed map[string]subscription
	queue      queue
	reconnect  chan bool // one slot: end this connection; whether the next broker is wanted

	received, sent, lost, oversized counter
}

type subscription struct {
	qos   byte
	inbox *bus.Inbox
}

var _ bus.Bus = (*Bus)(nil)

// errNotYet is the state before the first attempt ends.
var errNotYet = errors.New("the first connection to the broker is being made")

// New checks the configuration.
func New(config Config) (*Bus, error) {
	if len(config.Brokers) == 0 && config.Dial == nil {
		return nil, errors.New("there is no broker to connect to")
	}
	if config.KeepAlive == 0 {
		config.KeepAlive = DefaultKeepAlive
	}
	if config.BackoffCap == nil {
		config.BackoffCap = func() time.Duration { return MaxBackoff }
	}
	if config.QueueMessages == 0 {
		config.QueueMessages = 1024
	}
	if config.QueueBytes == 0 {
		config.QueueBytes = 4 << 20
	}
	for _, b := range config.Brokers {
		if !b.Encrypted() {
			config.Log.Warn().Str("broker", b.String()).
				Msg("the connection to this broker is not encrypted: whoever is in between can read and change it; use mqtts:// or wss://")
		}
	}
	b := &Bus{
		config:     config,
		err:        errNotYet,
		subscribed: map[string]subscription{},
		queue:      newQueue(config.QueueMessages, config.QueueBytes),
		reconnect:  make(chan bool, 1),
	}
	return b, b.register(config.Registry)
}

// Publish implements bus.Bus.
func (b *Bus) Publish(topic string, payload []byte, qos byte, retain bool) error {
	if err := bus.CheckPublish(topic, payload, qos); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up {
		b.lost.add(1)
		return nil
	}
	return b.queue.push(item{topic: topic, payload: slices.Clone(payload), qos: qos, retain: retain})
}

// Subscribe implements bus.Bus.
func (b *Bus) Subscribe(filter string, qos byte, inbox *bus.Inbox) error {
	if err := bus.CheckFilter(filter, qos); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribed[filter] = subscription{qos, inbox}
	if b.up {
		b.queue.force(item{topic: filter, qos: qos, subscribe: true})
	}
	return nil
}

// Connection implements bus.Bus.
func (b *Bus) Connection() (uint64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.number, b.up
}

// Reconnect takes leave of the broker, whose will stays silent, and makes another connection: to the next broker of
// the list, or to the same one at once. It does not block, and does nothing while there is no connection, or no other
// broker that is wanted.
func (b *Bus) Reconnect(nextBroker bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up || nextBroker && len(b.config.Brokers) < 2 {
		return
	}
	select {
	case b.reconnect <- nextBroker:
	default: // it ends already
	}
}

// UseBrokers changes the alternatives, from the next connection on: the present one stays.
func (b *Bus) UseBrokers(brokers []Broker) {
	if len(brokers) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.config.Brokers = slices.Clone(brokers)
}

func (b *Bus) alternatives() []Broker {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.config.Dial != nil {
		return []Broker{{}}
	}
	return b.config.Brokers
}

// UseAccount changes the account, from the next connection on. See Config.PasswordBefore.
func (b *Bus) UseAccount(user, password, before string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.config.User, b.config.Password, b.config.PasswordBefore = user, password, before
}

// turnPassword has the next connection use the other password; false: there is none.
func (b *Bus) turnPassword(broker Broker) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.config.PasswordBefore == "" || broker.url.User != nil {
		return false
	}
	b.config.Password, b.config.PasswordBefore = b.config.PasswordBefore, b.config.Password
	return true
}

// account is the one to connect with.
func (b *Bus) account(broker Broker) (user, password string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return broker.credentials(b.config.User, b.config.Password)
}

// Err says in one line why there is no connection and what to do; nil while there is one.
func (b *Bus) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// connected begins a connection's life: from now on Publish enqueues. The subscriptions go first.
func (b *Bus) connected(number uint64) {
	b.mu.Lock()
	b.up, b.number, b.err = true, number, nil
	select {
	case <-b.reconnect: // meant the connection before
	default:
	}
	b.queue.clear()
	for _, filter := range slices.Sorted(maps.Keys(b.subscribed)) {
		b.queue.force(item{topic: filter, qos: b.subscribed[filter].qos, subscribe: true})
	}
	b.mu.Unlock()
	b.wakeAll()
}

// disconnected ends it. It also notes why an attempt failed.
func (b *Bus) disconnected(err error) {
	b.mu.Lock()
	was := b.up
	b.up, b.err = false, err
	b.lost.add(uint64(b.queue.clear()))
	b.mu.Unlock()
	if was {
		b.wakeAll()
	}
}

func (b *Bus) wakeAll() {
	b.mu.Lock()
	inboxes := map[*bus.Inbox]bool{}
	for _, s := range b.subscribed {
		inboxes[s.inbox] = true
	}
	b.mu.Unlock()
	for inbox := range inboxes {
		inbox.Wake()
	}
}

// deliver hands a message to the inboxes whose filters match. It is called from paho and must not block.
func (b *Bus) deliver(m bus.Message) {
	b.received.add(1)
	b.mu.Lock()
	var inboxes []*bus.Inbox
	for filter, s := range b.subscribed {
		if bus.Matches(filter, m.Topic) && !slices.Contains(inboxes, s.inbox) {
			inboxes = append(inboxes, s.inbox)
		}
	}
	b.mu.Unlock()
	for i, inbox := range inboxes {
		own := m
		if i > 0 {
			own.Payload = slices.Clone(m.Payload)
		}
		inbox.Put(own)
	}
}
