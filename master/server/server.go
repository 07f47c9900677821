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
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/master/apiserver/audit"
	"github.com/skerry-edge/skerry/master/broker"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/controller/namespace"
	"github.com/skerry-edge/skerry/master/controller/rbac"
	"github.com/skerry-edge/skerry/master/enroll"
	"github.com/skerry-edge/skerry/master/nodelink"
	"github.com/skerry-edge/skerry/master/reconcile"
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
	bus    bus.Bus
	runBus func(context.Context) error // the embedded broker, or the connection to a foreign one
	link   *nodelink.Link
	enroll *enroll.Enroller
	tokens *tokens
	saver  *recoveryKeeper
	runner *reconcile.Runner
	mux    *mux.Mux
	loops  struct{ link, runner, enroll *daemon.Loop }
}

// New opens the data directory and the ports, and puts the parts together.
func New(config Config, d *daemon.Daemon) (*Server, error) {
	if err := daemon.MakeDir(config.DataDir); err != nil {
		return nil, err
	}
	s := &Server{config: config, daemon: d, machine: machineAddresses()}
	var err error
	s.store, s.report, err = bolt.Open(bolt.Config{Dir: config.DataDir, Schema: resource.Schema(), Sealed: resource.Sealed(), Clock: daemon.Clock, Logger: d.Log})
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
	topics, err := protocol.NewTopics(s.config.Cluster)
	if err != nil {
		return daemon.Usage(err)
	}
	certificates := newCertificates(s.id.ca, s.config.names(s.machine), daemon.Clock, s.daemon.Log)
	if s.apiListener, err = daemon.Listen("api-listen", s.config.APIListen); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read the host name: %w", err)
	}
	if err := s.assembleBus(topics, certificates, host); err != nil {
		return err
	}
	run, err := newRun(s.store.Epoch())
	if err != nil {
		return err
	}
	s.loops.link, s.loops.runner = s.daemon.Health.Loop("the link to the nodes"), s.daemon.Health.Loop("the control loop")
	s.mux = mux.New(mux.Config{
		Send:       func(node string, frame []byte) error { return s.link.SendFrame(node, frame) },
		Clock:      daemon.Clock,
		Rand:       rand.Reader,
		MaxStreams: maxStreams,
	})
	s.link = nodelink.New(nodelink.Config{
		Store: s.store, Bus: s.bus, Topics: topics, Run: run, Master: host, Settings: s.config.settings(),
		Cluster: s.config.Cluster, Key: s.id.keys.Exchange,
		Sign:    func(message []byte) []byte { return s.id.sign(message) },
		Advance: s.store.Advance, // there is no other master
		Frames:  s.mux, Clock: s.loops.link.Clock(daemon.Clock), Rand: rand.Reader, Logger: s.daemon.Log, Registerer: s.daemon.Registry,
	})
	s.loops.enroll = s.daemon.Health.Loop("the loop that lets nodes join")
	s.enroll = enroll.New(enroll.Config{
		Store: s.store, Bus: s.bus, Topics: topics, Cluster: s.config.Cluster, Key: s.id.keys.Exchange, Run: run,
		Clock: s.loops.enroll.Clock(daemon.Clock), Rand: rand.Reader, Logger: s.daemon.Log, Registerer: s.daemon.Registry,
	})
	if s.tokens, err = s.newTokens(); err != nil {
		return err
	}
	s.runner, err = reconcile.New(reconcile.Config{
		Store: s.store, Planners: planners(s.config, daemon.Clock()), Logger: s.daemon.Log,
		Clock: s.loops.runner.Clock(daemon.Clock), Registerer: s.daemon.Registry,
	})
	if err != nil {
		return err
	}
	accountKeys, err := openTokenKeys(s.config.DataDir)
	if err != nil {
		return err
	}
	if s.audit, err = s.openAudit(); err != nil {
		return err
	}
	s.api, err = apiserver.New(apiserver.Config{
		Store: s.store, Resources: resource.All, Clock: daemon.Clock, Log: s.daemon.Log, Metrics: s.daemon.Registry,
		Certificate: certificates.get, Authority: s.id.ca, TokenKeys: &accountKeys, Audit: s.audit, Version: daemon.Version,
		Ready:  func() error { _, err := s.daemon.Health.Ready(); return err },
		Tokens: s.tokens, Recovery: s.saver,
		Broker:  brokerAccess{s.store, s.id},
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
		Clock:    daemon.Clock, Log: s.daemon.Log, Registry: s.daemon.Registry,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
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
	greeting, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	s.reportStore(ctx, daemon.Clock())
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return s.store.Run(ctx) })
	parts.Go(func() error { return s.runBus(ctx) })
	parts.Go(func() error { return s.mux.Run(ctx) })
	s.loops.link.Started(daemon.Clock(), s.link.Wake)
	parts.Go(func() error { return s.link.Run(ctx) })
	s.loops.enroll.Started(daemon.Clock(), s.enroll.Wake)
	parts.Go(func() error { return s.enroll.Run(ctx) })
	s.loops.runner.Started(daemon.Clock(), s.runner.Wake)
	parts.Go(func() error { return s.runner.Run(ctx) })
	asked, quiet := context.WithCancel(context.WithoutCancel(ctx)) // the audit log takes down the API's last requests too
	parts.Go(func() error { defer quiet(); return s.api.Run(ctx, s.apiListener) })
	if s.audit != nil {
		parts.Go(func() error { return s.audit.Run(asked) })
	}
	log.Info().Str("version", daemon.Version).Str("cluster", s.config.Cluster).Str("api", s.apiListener.Addr().String()).
		Stringer("epoch", s.store.Epoch()).Msg("the master serves")
	greeting.say(s.daemon.Stdout)
	s.daemon.Ready()
	err = parts.Wait()
	log.Info().Msg("the master has ended")
	return err
}

// prepare writes what must be there before the API answers. It returns what a new cluster's administrator has to know.
func (s *Server) prepare(ctx context.Context) (g greeting, err error) {
	_, apiPort, _ := net.SplitHostPort(s.apiListener.Addr().String())
	port, err := strconv.ParseInt(apiPort, 10, 32)
	if err != nil {
		return g, fmt.Errorf("read the API's port: %w", err)
	}
	missing := namespace.Seed(s.store.View(), daemon.Clock(), int32(port))
	missing = append(missing, rbac.Seed(s.store.View(), daemon.Clock())...)
	if len(missing) > 0 {
		if _, err := s.store.Commit(ctx, missing); err != nil {
			return g, fmt.Errorf("make what every cluster has: %w", err)
		}
	}
	api := s.config.advertised(s.config.APIListen, s.machine)[0]
	if err := writeKubeconfig(s.config.DataDir, s.id, "https://"+net.JoinHostPort(api, apiPort), daemon.Clock().Wall); err != nil {
		return g, err
	}
	g = newGreeting(s.config.DataDir, s.config.Cluster)
	if g.token, err = s.tokens.first(ctx, s.config.DataDir); err != nil {
		return g, err
	}
	if s.saver.Recipient().IsZero() {
		if s.id.made && !g.journal {
			g.key, err = s.saver.firstKey()
			return g, err
		}
		s.daemon.Log.Warn().Msg("this cluster has no recovery key, so no backup can be made: edgectl recovery-key rotate makes one, and shows it")
	}
	return g, nil
}

func (s *Server) close() error {
	if s.apiListener != nil {
		s.apiListener.Close() // again, when the API has served
	}
	return s.store.Close()
}
