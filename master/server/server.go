package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/master/apiserver/audit"
	"github.com/skerry-edge/skerry/master/broker"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/etcdsync"
	"github.com/skerry-edge/skerry/master/nodelink"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/stream/mux"
)

// maxStreams is how many streams (logs -f, …) may be open to one node.
const maxStreams = 64

// Server is a master. New and Run are called once each.
type Server struct {
	config Config
	daemon *daemon.Daemon
	store  *bolt.Store
	report bolt.Report
	id     identity

	apiListener net.Listener
	mqttPort    string
	machine     []string // addresses

	api    *apiserver.Server
	audit  *audit.Log // nil: there is none
	topics protocol.Topics
	host   string // name of the machine
	bus    bus.Bus
	runBus func(context.Context) error   // the embedded broker, or the connection to a foreign one
	broker *broker.Broker                // the embedded one; nil: there is none
	link   atomic.Pointer[nodelink.Link] // while this master leads
	tokens *tokens
	saver  *recoveryKeeper
	mux    *mux.Mux
	loops  struct{ link, runner, enroll *daemon.Loop }

	sync     *etcdsync.Sync // nil: there is no etcd, and this master leads
	prepared chan struct{}  // closed when what every cluster has is there
	greeting greeting       // before prepared is closed: it belongs to who leads
}

// New opens the data directory and the ports, and puts the parts together.
func New(ctx context.Context, config Config, d *daemon.Daemon) (*Server, error) {
	if err := daemon.MakeDir(config.DataDir); err != nil {
		return nil, err
	}
	s := &Server{config: config, daemon: d, machine: machineAddresses(), prepared: make(chan struct{}),
		greeting: newGreeting(config.DataDir, config.Cluster)}
	files := bolt.Config{Dir: config.DataDir, Schema: resource.Schema(), Sealed: resource.Sealed(), Clock: daemon.Clock, Logger: d.Log}
	if config.Etcd.used() {
		if err := s.meetEtcd(ctx, &files); err != nil {
			return nil, err
		}
	}
	var err error
	s.store, s.report, err = bolt.Open(files)
	if err != nil {
		return nil, err
	}
	if err := s.assemble(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *Server) assemble() (err error) {
	if s.id, err = openIdentity(s.config.DataDir, s.config.Cluster); err != nil {
		return err
	}
	if s.saver, err = openRecovery(s.config); err != nil {
		return err
	}
	s.saver.store = s.store
	if s.topics, err = protocol.NewTopics(s.config.Cluster); err != nil {
		return daemon.Usage(err)
	}
	certificates := newCertificates(s.id.ca, s.config.names(s.machine), daemon.Clock, s.daemon.Log)
	if s.apiListener, err = daemon.Listen("api-listen", s.config.APIListen); err != nil {
		return err
	}
	if s.host, err = os.Hostname(); err != nil {
		return fmt.Errorf("read the host name: %w", err)
	}
	if err := s.assembleBus(s.topics, certificates, s.host); err != nil {
		return err
	}
	s.loops.link, s.loops.runner = s.daemon.Health.Loop("the link to the nodes"), s.daemon.Health.Loop("the control loop")
	s.loops.enroll = s.daemon.Health.Loop("the loop that lets nodes join")
	s.mux = mux.New(mux.Config{Send: s.sendFrame, Clock: daemon.Clock, Rand: rand.Reader, MaxStreams: maxStreams})
	if s.tokens, err = s.newTokens(); err != nil {
		return err
	}
	accountKeys, err := openTokenKeys(s.config.DataDir)
	if err != nil {
		return err
	}
	if s.audit, err = s.openAudit(); err != nil {
		return err
	}
	leader, err := s.attachEtcd()
	if err != nil {
		return err
	}
	s.api, err = apiserver.New(apiserver.Config{
		Store: s.store, Resources: resource.All, Clock: daemon.Clock, Log: s.daemon.Log, Metrics: s.daemon.Registry,
		Certificate: certificates.get, Authority: s.id.ca, TokenKeys: &accountKeys, Audit: s.audit, Version: daemon.Version,
		Ready:  func() error { _, err := s.daemon.Health.Ready(); return err },
		Tokens: s.tokens, MasterJoins: s.tokens, Recovery: s.saver,
		Broker:  brokerAccess{s.store, s.id},
		Masters: leader, Conflicts: s.conflicts(),
		Streams: s.mux, StreamKeepAlive: s.config.Heartbeat, StreamPatience: s.config.NodeTimeout,
	})
	return err
}

// assembleBus makes the bus: the embedded broker's, or one to a foreign broker.
func (s *Server) assembleBus(topics protocol.Topics, certificates *certificates, host string) error {
	if len(s.config.Brokers) > 0 {
		user, password, err := s.id.masterAccount()
		if err != nil {
			return err
		}
		var pinned seal.CAHash
		if s.config.BrokerCA == caCluster {
			pinned = seal.HashCA(s.id.ca.Certificate)
		}
		foreign, err := mqtt.New(mqtt.Config{
			User: user, Password: password, PinnedCA: pinned,
			Brokers: s.config.Brokers, ClientID: mqtt.MasterClientID(s.config.Cluster, host), TakeLeave: true,
			BackoffCap: func() time.Duration { return maxBackoff(s.config.NodeTimeout) },
			QueueBytes: 32 << 20, QueueMessages: 16 << 10,
			Log: s.daemon.Log, Registry: s.daemon.Registry,
		})
		if err != nil {
			return err
		}
		s.bus, s.runBus = foreign, foreign.Run
		s.daemon.Health.Check("broker", foreign.Err)
		return nil
	}
	listener, err := daemon.Listen("mqtt-listen", s.config.MQTTListen)
	if err != nil {
		return err
	}
	_, s.mqttPort, _ = net.SplitHostPort(listener.Addr().String())
	embedded, err := broker.New(broker.Config{
		Topics: topics, Cluster: s.config.Cluster, Listener: listener,
		TLS:      &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificates.get},
		Accounts: newAccounts(s.store, s.id.keys.Exchange, s.config.Cluster),
		Closed:   s.config.Etcd.used(), // until this master leads
		Clock:    daemon.Clock, Log: s.daemon.Log, Registry: s.daemon.Registry,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	s.broker = embedded
	local := embedded.Local()
	s.bus, s.runBus = local, embedded.Run
	s.daemon.Health.Check("broker", local.Err)
	return nil
}

// newRun names this run of the master: each start begins an epoch, so the epoch's number orders the runs.
func newRun(epoch change.Epoch) (seal.Run, error) {
	var nonce [8]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return seal.Run{}, fmt.Errorf("read random bytes for this run: %w", err)
	}
	return seal.Run{Number: uint32(epoch.First() >> change.WriteBits), Nonce: binary.BigEndian.Uint64(nonce[:])}, nil
}

// Run works until ctx ends.
func (s *Server) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.close()) }()
	log := s.daemon.Log
	s.logStore()
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return s.store.Run(ctx) })
	parts.Go(func() error { return s.runBus(ctx) })
	parts.Go(func() error { return s.mux.Run(ctx) })
	if s.sync == nil {
		parts.Go(func() error { return s.lead(ctx) })
	} else {
		parts.Go(func() error { return s.sync.Run(ctx) })
	}
	if !s.awaitState(ctx) {
		return parts.Wait()
	}
	if err := s.writeKubeconfig(); err != nil {
		parts.Go(func() error { return err })
		return parts.Wait()
	}
	asked, quiet := context.WithCancel(context.WithoutCancel(ctx)) // the audit log takes down the API's last requests too
	parts.Go(func() error { defer quiet(); return s.api.Run(ctx, s.apiListener) })
	if s.audit != nil {
		parts.Go(func() error { return s.audit.Run(asked) })
	}
	log.Info().Str("version", daemon.Version).Str("cluster", s.config.Cluster).Str("api", s.apiListener.Addr().String()).
		Stringer("epoch", s.store.Epoch()).Msg("the master serves")
	select {
	case <-s.prepared:
		s.greeting.say(s.daemon.Stdout)
	default: // a master that follows has nothing to tell
	}
	s.daemon.Ready()
	err = parts.Wait()
	log.Info().Msg("the master has ended")
	return err
}

func (s *Server) close() error {
	if s.apiListener != nil {
		s.apiListener.Close() // again, when the API has served
	}
	return s.store.Close()
}
