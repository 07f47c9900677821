package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/apiserver/audit"
	"github.com/skerry-edge/skerry/master/apiserver/authn"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/resource/openapi"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/gate"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// Config is what a Server is made of.
type Config struct {
	Store     store.Store
	Resources []*resource.Resource // the kinds that are served, in the order of discovery
	Clock     clock.Source
	Log       zerolog.Logger
	Metrics   prometheus.Registerer // nil: no metrics

	// Certificate is the server's certificate, asked for at each handshake, so that a renewed one is used at
	// once.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Authority signs the certificates of users: the common name is the user's, the organisations are groups.
	Authority *ca.Authority
	// TokenKeys sign the tokens of service accounts; nil: there are none.
	TokenKeys *authn.Keys
	// Audit takes down who did what; nil: nobody does.
	Audit *audit.Log

	// Version is Skerry's own version; /version shows it behind that of the Kubernetes API.
	Version string
	// Ready says why the master isn't ready, for /readyz; nil means always ready.
	Ready func() error

	// Tokens are the join tokens; nil: there are none to be had.
	Tokens Tokens
	// Broker are the accounts of a broker; nil: none.
	Broker Broker

	// Masters are those of the cluster; nil: this one is the only one.
	Masters Masters
	// Conflicts are what masters that were cut off have lost; nil: there is one master, and none.
	Conflicts Conflicts
	// MasterJoins lets further masters join; nil: none can.
	MasterJoins MasterJoins
	// Recovery makes backups; nil: there are none to be had.
	Recovery Recovery

	// Streams reaches the nodes, for logs; nil: there are none to be had.
	Streams Streams
	// StreamKeepAlive is how often both ends of a stream say that they are there, StreamPatience how long they
	// wait for each other: the heartbeat interval and the node-timeout.
	StreamKeepAlive, StreamPatience time.Duration

	// MaxRequests bounds the requests that are served at once, MaxWatches the watches; 0 means the defaults,
	// DefaultMaxRequests and DefaultMaxWatches. Who comes later gets 429.
	MaxRequests, MaxWatches int
	// MaxConnections bounds the connections; 0 means DefaultMaxConnections.
	MaxConnections int
}

// Defaults of Config.
const (
	DefaultMaxRequests    = 100
	DefaultMaxWatches     = 2000
	DefaultMaxConnections = 1000
)

// Bounds of connections whose clients have not said yet who they are, see package gate. The grace is for machines that
// start dozens of kubectl at once.
const (
	maxStrangers     = 256
	maxStrangersFrom = 64 // one address
	strangersGrace   = time.Second
)

// Bounds of one connection and one request.
const (
	maxStreams    = 100 // requests at once on a connection of HTTP/2
	maxHeader     = 64 << 10
	maxBody       = 3 << 20          // as Kubernetes has it
	headerTimeout = 10 * time.Second // for TLS, and to send a request's header
	bodyTimeout   = 30 * time.Second // to send a request's body
	writeTimeout  = 60 * time.Second // to take an answer, or one event of a watch
	idleTimeout   = 3 * time.Minute
	closeTimeout  = 5 * time.Second // for running requests, when the server ends
)

// Server is the Kubernetes API.
type Server struct {
	Config
	log       zerolog.Logger
	resources map[schema.GroupVersion]map[string]*resource.Resource
	discovery *discovery
	openapi   *openapi.Documents
	snapshots *snapshots
	limits    *limits
	policies  *policies
	metrics   *metrics
	lines     lines
	asks      chan struct{} // places for questions to nodes, see measure
	ending    chan struct{} // closed when Run ends: watches end too
}

// New makes a server; it listens when Run is called.
func New(c Config) (*Server, error) {
	if c.MaxRequests == 0 {
		c.MaxRequests = DefaultMaxRequests
	}
	if c.MaxWatches == 0 {
		c.MaxWatches = DefaultMaxWatches
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = DefaultMaxConnections
	}
	s := &Server{
		Config:    c,
		log:       c.Log.With().Str("component", "apiserver").Logger(),
		resources: map[schema.GroupVersion]map[string]*resource.Resource{},
		snapshots: newSnapshots(c.Clock),
		policies:  newPolicies(c.Store, c.Log),
		limits:    newLimits(c.MaxRequests, c.MaxWatches),
		asks:      make(chan struct{}, maxAsks),
		ending:    make(chan struct{}),
	}
	served := slices.Concat(c.Resources, resource.Measured, resource.Reviews)
	for _, r := range served {
		gv := r.GVK.GroupVersion()
		if s.resources[gv] == nil {
			s.resources[gv] = map[string]*resource.Resource{}
		}
		s.resources[gv][r.Plural()] = r
	}
	s.discovery = newDiscovery(served)
	s.openapi = openapi.New(served, c.Version)
	var err error
	if s.metrics, err = newMetrics(c.Metrics); err != nil {
		return nil, fmt.Errorf("register the API's metrics: %w", err)
	}
	return s, nil
}

// Run serves TLS on the listener until ctx ends, then ends the watches, lets running requests finish for a few
// seconds and returns nil. It closes the listener. It may be called once.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	guarded := gate.New(gate.Config{
		Listener: listener, MaxOpen: s.MaxConnections, MaxUnknown: maxStrangers, MaxUnknownFrom: maxStrangersFrom,
		Grace: strangersGrace, Clock: s.Clock,
	})
	if err := s.metrics.watch(guarded, s.Metrics); err != nil {
		return fmt.Errorf("register the API's metrics: %w", err)
	}
	server := &http.Server{
		Handler:           s.Handler(),
		ConnContext:       remember,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(handshakeLog{s.log}, "", 0),
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: s.Certificate,
			// The request verifies it, see authenticate: whoever shows a wrong one learns it in HTTP.
			ClientAuth: tls.RequestClientCert,
			ClientCAs:  s.clientCAs(),
			Time:       func() time.Time { return s.Clock().Wall },
			NextProtos: []string{"h2", "http/1.1"},
		},
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(guarded, "", "") }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	close(s.ending)
	bounded, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the API: %w", err)
	}
	return nil
}

// clientCAs tell clients whose certificates are asked for.
func (s *Server) clientCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	if s.Authority != nil {
		pool.AddCert(s.Authority.Certificate)
	}
	return pool
}

// handshakeLog takes net/http's own complaints, which are about single connections.
type handshakeLog struct{ log zerolog.Logger }

func (h handshakeLog) Write(line []byte) (int, error) {
	h.log.Debug().Bytes("detail", line).Msg("connection failed")
	return len(line), nil
}
