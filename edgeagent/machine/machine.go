package machine

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/protocol/message"
)

const (
	sampleEvery = 10 * time.Second
	imagesEvery = 6 // samples
	// maxImages bounds the list in the node's status, as the kubelet does.
	maxImages = 50
)

// Config says which machine it is and what is known of it elsewhere.
type Config struct {
	Name    string            // the node's
	Labels  map[string]string // the operator's; they win over ours
	DataDir string            // its disk is the node's
	Version string            // the agent's
	// Engine names the engine and its version, as "containerd://1.6.20"; empty while unknown. Nil: no engine.
	Engine func(ctx context.Context) string
	// Images lists what is present; the largest are shown. Nil: none. Both functions may block.
	Images func(ctx context.Context) ([]corev1.ContainerImage, error)
	// Network knows how pods fare that are not on the host's. Nil: nothing is reported of it.
	Network interface {
		Problem() error // why they have none, and what to do; nil when they have
		Limits() string // what theirs can't do, and what to do; empty: nothing
	}
	// Guard says why pods that must run at most once can't be guarded; nil when they can, or nobody knows. Nil: nothing is
	// reported of it.
	Guard func() error
	// Changed is called after Node has changed. It must not block. May be nil.
	Changed func()
	Log     zerolog.Logger
}

// Machine is the board that the agent runs on.
type Machine struct {
	config Config
	fixed  fixed
	sensor sensor

	mu       sync.Mutex
	readings message.Readings
	node     []byte
	ip       string

	// Used by Run alone.
	judge  judge
	images []corev1.ContainerImage
	engine string
	ticks  int
}

// New looks at the machine for the first time.
func New(config Config) (*Machine, error) {
	m := &Machine{config: config, sensor: sensor{dir: config.DataDir}}
	first, err := m.sensor.read()
	if err != nil {
		return nil, err
	}
	if m.fixed, err = inspect(); err != nil {
		return nil, err
	}
	if err := m.take(first, time.Now()); err != nil {
		return nil, err
	}
	return m, nil
}

// Run samples until ctx ends.
func (m *Machine) Run(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		m.askEngine(ctx)
		s, err := m.sensor.read()
		if err == nil {
			err = m.take(s, time.Now())
		}
		if err != nil {
			m.config.Log.Warn().Err(err).Msg("the machine could not be read")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// askEngine renews what the engine knows, less often than the rest.
func (m *Machine) askEngine(ctx context.Context) {
	m.ticks++
	if m.engine != "" && m.ticks%imagesEvery != 1 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sampleEvery/2)
	defer cancel()
	if m.config.Engine != nil {
		if name := m.config.Engine(ctx); name != "" {
			m.engine = name
		}
	}
	if m.config.Images != nil {
		// While the engine is away the last list stands.
		if images, err := m.config.Images(ctx); err == nil {
			m.images = largest(images, maxImages)
		}
	}
}

// take makes a sample the newest.
func (m *Machine) take(s sample, now time.Time) error {
	node, ip := m.build(s, now)
	encoded, err := node.Marshal()
	if err != nil {
		return fmt.Errorf("encode the node: %w", err)
	}
	m.mu.Lock()
	changed := m.node != nil && !bytes.Equal(encoded, m.node)
	m.readings, m.node, m.ip = s.readings(), encoded, ip
	m.mu.Unlock()
	if changed && m.config.Changed != nil {
		m.config.Changed()
	}
	return nil
}

// Node is the node's labels and status, a corev1.Node as protobuf. It is not to be changed.
func (m *Machine) Node() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node
}

// Readings are the newest.
func (m *Machine) Readings() message.Readings {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.readings
}

// IP is the machine's address on the way to the world; empty when it has none.
func (m *Machine) IP() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ip
}
