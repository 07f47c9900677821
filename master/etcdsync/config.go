package etcdsync

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Limits of time. A lease is asked to last TTL; etcd may let it last a little longer, never shorter.
const (
	TTL = 10 * time.Second
	// ticks is how often in a lease it is kept, and once in a lease other masters are told of and looked for.
	ticks = 3
	// answerLimit is how long etcd may take for an answer before it counts as away: no client waits longer for it.
	answerLimit = 2 * time.Second
	// yieldMargin is how long before its lease ends a master that yields stops leading.
	yieldMargin = 3 * time.Second
)

// Limits of etcd: 128 operations and 1.5 MiB a request, of which something is left for keys and comparisons.
const (
	maxOps   = 120
	maxBytes = 1200 << 10
	// maxValue is the largest object that etcd takes.
	maxValue = 1400 << 10
)

// CutOff is what a leader does when etcd is away.
type CutOff string

// The choices of --when-cut-off; empty: what the cluster has, and CutOffLead in a new one.
const (
	CutOffLead  CutOff = "lead"  // it goes on
	CutOffYield CutOff = "yield" // it stops before its lease ends, so that another can lead
)

// Server says how to reach etcd.
type Server struct {
	Endpoints      []string
	TLS            *tls.Config // nil: without encryption
	User, Password string
}

// Store is the part of bolt.Store that is written and read here.
type Store interface {
	store.Store
	Position() (change.Rev, error)
	Kinds() ([]change.Kind, error)
	Advance(beyond change.Epoch) error
	AdvanceAfter(decide func() (beyond change.Epoch, err error)) error
	Lead(leads bool) error
	Mirror(store.Mirror) error
	Between(do func() error) error
	Settled(ctx context.Context) error
	Journal() ([]store.Entry, error)
	Doubt(entries []store.Entry) error
	Settle(pushed []store.Entry) error
	Keep() error
	Meta(name string) ([]byte, error)
	SetMeta(name string, value []byte) error
	SealValue(change.Record) []byte
	OpenValue(change.Key, []byte) ([]byte, error)
	SealSetting(name string, value []byte) []byte
	OpenSetting(name string, value []byte) ([]byte, error)
}

// Config of a Sync.
type Config struct {
	Server  Server
	Cluster string
	CutOff  CutOff
	// TTL of the election's lease; 0 means the constant.
	TTL time.Duration
	// Keys are those of the cluster, which are put into etcd wrapped; nil: they are not.
	Keys Keys
	// Lead is run while this master leads; the context ends when it doesn't any more. Its error ends Run.
	Lead func(ctx context.Context) error
	// Changed, if set, is called when other brokers are known than before; it must not block.
	Changed func()
	// Tell, if set, reports a change that people should know of as an Event; called while this master leads.
	Tell func(reason, message string, warning bool)
	// TellOf, if set, does the same about one object, which may be gone.
	TellOf func(about change.Key, reason, message string)

	Clock      clock.Source
	Logger     zerolog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}
