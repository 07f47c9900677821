package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/controller/namespace"
	"github.com/skerry-edge/skerry/master/controller/rbac"
	"github.com/skerry-edge/skerry/master/enroll"
	"github.com/skerry-edge/skerry/master/nodelink"
	"github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// lead does what only the leader does: it lets nodes in, talks to them, and plans. It ends with its context, or with
// the first of its loops; it may be called again then. Each time is another run to the nodes, for the epoch is another.
func (s *Server) lead(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		if errors.Is(err, store.ErrNotLeader) {
			<-ctx.Done() // it leads no more
		}
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	run, err := newRun(s.store.Epoch())
	if err != nil {
		return err
	}
	metrics := &termRegistry{to: s.daemon.Registry}
	defer metrics.clear()
	link := nodelink.New(nodelink.Config{
		Store: s.store, Bus: s.bus, Topics: s.topics, Run: run, Master: s.host, Settings: s.config.settings(),
		Cluster: s.config.Cluster, Key: s.id.keys.Exchange,
		Sign:    func(message []byte) []byte { return s.id.sign(message) },
		Advance: s.advance(), Outranked: s.outranked(ctx), Brokers: s.brokers,
		Elsewhere: s.elsewhere, Apart: s.apart,
		Frames: s.mux, Clock: s.loops.link.Clock(daemon.Clock), Rand: rand.Reader, Logger: s.daemon.Log, Registerer: metrics,
	})
	joining := enroll.New(enroll.Config{
		Store: s.store, Bus: s.bus, Topics: s.topics, Cluster: s.config.Cluster, Key: s.id.keys.Exchange, Run: run,
		Clock: s.loops.enroll.Clock(daemon.Clock), Rand: rand.Reader, Logger: s.daemon.Log, Registerer: metrics,
	})
	runner, err := reconcile.New(reconcile.Config{
		Store: s.store, Planners: planners(s.config, daemon.Clock()), Logger: s.daemon.Log,
		Clock: s.loops.runner.Clock(daemon.Clock), Registerer: metrics, Observe: countEvictions(metrics),
	})
	if err != nil {
		return err
	}
	s.link.Store(link)
	defer s.link.Store(nil)
	if s.broker != nil {
		s.broker.LetIn(true)
		if s.sync != nil {
			defer s.broker.LetIn(false)
		}
	}
	parts, ctx := errgroup.WithContext(ctx)
	for _, part := range []struct {
		loop *daemon.Loop
		wake func()
		run  func(context.Context) error
	}{
		{s.loops.link, link.Wake, link.Run},
		{s.loops.enroll, joining.Wake, joining.Run},
		{s.loops.runner, runner.Wake, runner.Run},
	} {
		part.loop.Started(daemon.Clock(), part.wake)
		parts.Go(func() error { defer part.loop.Ended(); return part.run(ctx) })
	}
	return parts.Wait()
}

// advance is how the epoch gets above those that the nodes have seen: with etcd that is not for one master to decide.
func (s *Server) advance() func(change.Epoch) error {
	if s.sync != nil {
		return nil
	}
	return s.store.Advance
}

// elsewhere reports whether an earlier leader may still permit nodes to run what must be single.
func (s *Server) elsewhere() bool { return s.sync != nil && s.sync.Elsewhere() }

// apart reports whether another master may lead by now.
func (s *Server) apart() bool { return s.sync != nil && s.sync.Apart() }

// sendFrame passes a frame of a stream to a node.
func (s *Server) sendFrame(node string, frame []byte) error {
	link := s.link.Load()
	if link == nil {
		return fmt.Errorf("send a frame to %s: %w", node, nodelink.ErrOffline)
	}
	return link.SendFrame(node, frame)
}

// prepare writes what every cluster has, and greets who has made a new one.
func (s *Server) prepare(ctx context.Context) error {
	port, err := strconv.ParseInt(s.apiPort(), 10, 32)
	if err != nil {
		return fmt.Errorf("read the API's port: %w", err)
	}
	missing := namespace.Seed(s.store.View(), daemon.Clock(), int32(port))
	missing = append(missing, rbac.Seed(s.store.View(), daemon.Clock())...)
	if len(missing) > 0 {
		if _, err := s.store.Commit(ctx, missing); err != nil {
			return fmt.Errorf("make what every cluster has: %w", err)
		}
	}
	token, err := s.tokens.first(ctx, s.config.DataDir)
	if err != nil {
		return err
	}
	select {
	case <-s.prepared: // this master has led before
		return nil
	default:
	}
	s.reportStore(ctx, daemon.Clock())
	s.greeting.token = token
	if s.saver.Recipient().IsZero() {
		if s.id.made && !s.greeting.journal {
			if s.greeting.key, err = s.saver.firstKey(); err != nil {
				return err
			}
		} else {
			s.daemon.Log.Warn().Msg("this cluster has no recovery key, so no backup can be made: edgectl recovery-key rotate makes one, and shows it")
		}
	}
	close(s.prepared)
	return nil
}

func (s *Server) apiPort() string {
	_, port, _ := net.SplitHostPort(s.apiListener.Addr().String())
	return port
}

func (s *Server) apiURL() string {
	return "https://" + net.JoinHostPort(s.config.advertised(s.config.APIListen, s.machine)[0], s.apiPort())
}

func (s *Server) writeKubeconfig() error {
	return writeKubeconfig(s.config.DataDir, s.id, s.apiURL(), daemon.Clock().Wall)
}

// termRegistry takes the metrics of one time of leading, which end with it.
type termRegistry struct {
	to prometheus.Registerer

	mu   sync.Mutex
	held []prometheus.Collector
}

var _ prometheus.Registerer = (*termRegistry)(nil)

// Register implements prometheus.Registerer.
func (r *termRegistry) Register(c prometheus.Collector) error {
	if err := r.to.Register(c); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, c)
	return nil
}

// MustRegister implements prometheus.Registerer.
func (r *termRegistry) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister implements prometheus.Registerer.
func (r *termRegistry) Unregister(c prometheus.Collector) bool { return r.to.Unregister(c) }

func (r *termRegistry) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.held {
		r.to.Unregister(c)
	}
	r.held = nil
}
