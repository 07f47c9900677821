package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skerry-edge/skerry/edgeagent/disk"
	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	"github.com/skerry-edge/skerry/edgeagent/plan"
	"github.com/skerry-edge/skerry/edgeagent/reconcile"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/stream/mux"
)

// Limits of a node.
const (
	maxStreams  = 64
	logMaxBytes = 10 << 20 // of one log file, as the kubelet has it
	logMaxFiles = 5        // of one container, likewise
)

// firstSettings hold until the master has said its own.
var firstSettings = message.Settings{HeartbeatMillis: 10_000, TimeoutMillis: 30_000}

// master is the name of the one peer that streams come from.
const master = "master"

// Agent is a node's agent. New and Run are called once each.
type Agent struct {
	config  Config
	daemon  *daemon.Daemon
	disk    *disk.Disk
	id      identity
	logRoot string

	runtime    *runtimeParts
	reconciler *reconcile.Reconciler
	pool       *reconcile.Pool
	bus        *mqtt.Bus
	link       *masterlink.Link
	mux        *mux.Mux
	loops      struct{ link, reconcile *daemon.Loop }
}

// New opens the data directory and puts the parts together; nothing runs yet.
func New(config Config, d *daemon.Daemon) (*Agent, error) {
	dir, err := filepath.Abs(config.DataDir)
	if err != nil {
		return nil, fmt.Errorf("--data-dir %s: %w", config.DataDir, err)
	}
	config.DataDir = dir
	if err := daemon.MakeDir(dir); err != nil {
		return nil, err
	}
	a := &Agent{config: config, daemon: d, logRoot: filepath.Join(dir, "logs")}
	if a.disk, err = disk.Open(disk.Config{Dir: dir, Log: d.Log}); err != nil {
		return nil, err
	}
	if err := a.assemble(); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *Agent) assemble() error {
	stored, err := a.disk.Identity()
	if err != nil {
		return err
	}
	if a.id, err = identify(a.config, stored); err != nil {
		return err
	}
	topics, err := protocol.NewTopics(a.id.token.Cluster)
	if err != nil {
		return fmt.Errorf("the join token: %w", err)
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if a.runtime, err = newRuntime(a.config, a.id.Node, func() { a.link.Wake() }, a.daemon); err != nil {
		return err
	}
	a.loops.reconcile, a.loops.link = a.daemon.Health.Loop("the control loop"), a.daemon.Health.Loop("the link to the master")
	a.pool = reconcile.NewPool(runtime.NumCPU())
	a.reconciler, err = reconcile.New(reconcile.Config{
		Engine: a.runtime.engine, Network: a.runtime.network, Volumes: a.runtime.volumes, Prober: a.runtime.prober,
		Disk: a.disk, Logs: reconcile.LogFiles{Root: a.logRoot},
		Executor: a.pool, Clock: a.loops.reconcile.Clock(daemon.Clock), Log: a.daemon.Log, Registerer: a.daemon.Registry,
		Node: func() plan.Node {
			return plan.Node{Name: a.id.Node, IP: a.runtime.board.IP(), Boot: boot,
				PodRoot: podRoot(a.config), LogRoot: a.logRoot, LogMaxBytes: logMaxBytes, LogMaxFiles: logMaxFiles}
		},
		Changed: func() { a.link.Wake() },
	})
	if err != nil {
		return err
	}
	a.mux = mux.New(mux.Config{
		Send:   func(_ string, frame []byte) error { return a.link.SendFrame(frame) },
		Accept: a.serveStream, Clock: daemon.Clock, Rand: rand.Reader, MaxStreams: maxStreams,
	})
	if err := a.assembleBus(); err != nil {
		return err
	}
	var nonce [8]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return fmt.Errorf("read random bytes for this run: %w", err)
	}
	a.link = masterlink.New(masterlink.Config{
		Bus: a.bus, Topics: topics, Node: a.id.Node,
		Run:    seal.Run{Number: a.disk.Run(), Nonce: binary.BigEndian.Uint64(nonce[:])},
		BootID: boot, Version: daemon.Version, LeaderKey: ed25519.PublicKey(a.id.token.Signing[:]), Settings: firstSettings,
		Disk: a.disk, Local: local{Reconciler: a.reconciler, board: a.runtime.board}, Frames: frames{a.mux},
		Clock: a.loops.link.Clock(daemon.Clock), Rand: rand.Reader, Logger: a.daemon.Log, Registerer: a.daemon.Registry,
	})
	a.addChecks()
	return nil
}

func (a *Agent) assembleBus() (err error) {
	brokers := a.config.Brokers
	if len(brokers) == 0 {
		if brokers, err = mqtt.ParseBrokers(a.id.token.Brokers); err != nil {
			return fmt.Errorf("the join token: %w", err)
		}
	}
	a.bus, err = mqtt.New(mqtt.Config{
		Brokers: brokers, ClientID: mqtt.NodeClientID(a.id.token.Cluster, a.id.Node),
		User: a.id.Node, Password: a.id.token.JoinPassword(), PinnedCA: a.id.token.CAHash,
		Will: func(connection uint64) (string, []byte) { return a.link.Will(connection) },
		BackoffCap: func() time.Duration {
			return min(mqtt.MaxBackoff, a.link.Health().Settings.Timeout()/2)
		},
		Log: a.daemon.Log, Registry: a.daemon.Registry,
	})
	return err
}

func (a *Agent) addChecks() {
	a.daemon.Health.Check("engine", func() error {
		err := a.reconciler.EngineError()
		if errors.Is(err, engine.ErrAway) && a.config.Engine == EngineContainerd {
			return fmt.Errorf("%w; install containerd and start it (systemctl enable --now containerd), or say with --containerd where it listens (now %s)", err, a.config.Containerd)
		}
		return err
	})
	a.daemon.Health.Check("broker", a.bus.Err)
	a.daemon.Health.Check("master", func() error {
		switch h := a.link.Health(); {
		case !h.Connected:
			return errors.New("there is no connection to the broker")
		case !h.Welcomed:
			return errors.New("the master has not answered yet; check that it runs and uses the same broker and cluster name")
		}
		return nil
	})
}

// Run works until ctx ends; containers go on running.
func (a *Agent) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.close()) }()
	log := a.daemon.Log
	log.Info().Str("version", daemon.Version).Str("node", a.id.Node).Str("cluster", a.id.token.Cluster).
		Uint32("run", a.disk.Run()).Msg("the agent starts")
	if a.id.joined && a.config.Join != "" {
		log.Info().Msg("this node has joined before; --join is not looked at")
	}
	parts, ctx := errgroup.WithContext(ctx)
	for _, run := range a.runtime.runs {
		parts.Go(func() error { return run(ctx) })
	}
	a.loops.reconcile.Started(daemon.Clock(), a.reconciler.Wake)
	parts.Go(func() error { return a.reconciler.Run(ctx) })
	parts.Go(func() error { return a.mux.Run(ctx) })
	parts.Go(func() error { return a.bus.Run(ctx) })
	a.loops.link.Started(daemon.Clock(), a.link.Wake)
	parts.Go(func() error { return a.link.Run(ctx) })
	parts.Go(func() error { return a.keepIdentity(ctx) })
	parts.Go(func() error { return a.disk.Reserve(ctx) })
	a.daemon.Ready()
	err = parts.Wait()
	log.Info().Msg("the agent has ended; containers go on running")
	return err
}

// keepIdentity stores who the node is once the master has answered, so that a mistyped token is never kept.
func (a *Agent) keepIdentity(ctx context.Context) error {
	if a.id.joined {
		return nil
	}
	data, err := a.id.encode()
	if err != nil {
		return err
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for !a.link.Health().Welcomed {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
	if err := a.disk.KeepIdentity(data); err != nil {
		return err
	}
	a.daemon.Log.Info().Str("token", a.id.token.ID()).Msg("the node has joined; from now on it starts without --join")
	return nil
}

func (a *Agent) close() error {
	if a.pool != nil {
		a.pool.Close()
	}
	var err error
	if a.runtime != nil {
		err = a.runtime.close()
	}
	return errors.Join(err, a.disk.Close())
}

// bootID names the machine's uptime: the kernel draws it at each boot.
func bootID() (string, error) {
	file, err := os.Open("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, 64))
	return strings.TrimSpace(string(data)), err
}

// local is the node as the link to the master sees it.
type local struct {
	*reconcile.Reconciler
	board
}

// frames hands streams' frames on.
type frames struct{ mux *mux.Mux }

// Deliver implements masterlink.Frames.
func (f frames) Deliver(frame []byte) { f.mux.Deliver(master, frame) }
