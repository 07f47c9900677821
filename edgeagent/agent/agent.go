package agent

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	keys    *keys
	token   *seal.Token // to join with; nil when the node has joined
	topics  protocol.Topics
	run     seal.Run
	boot    string // the kernel's boot id
	logRoot string

	runtime    *runtimeParts
	reconciler *reconcile.Reconciler
	pool       *reconcile.Pool
	bus        *mqtt.Bus
	link       *masterlink.Link
	mux        *mux.Mux
	loops      struct{ link, reconcile *daemon.Loop }
}

var errRemoved = errors.New("this node was removed from the cluster; to join again, start the agent with --join and a new token")

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
	id, token, err := identify(a.config, stored, rand.Reader)
	if err != nil {
		return err
	}
	a.token, a.keys = token, &keys{keep: a.disk.KeepIdentity, random: rand.Reader, id: id}
	if a.token != nil {
		if err := a.disk.Forget(); err != nil {
			return err
		}
	}
	if a.topics, err = protocol.NewTopics(id.Cluster); err != nil {
		return fmt.Errorf("the join token: %w", err)
	}
	if a.boot, err = bootID(); err != nil {
		return err
	}
	if a.runtime, err = newRuntime(a.config, id.Node, func() { a.link.Wake() }, a.guardError, a.daemon); err != nil {
		return err
	}
	a.loops.reconcile, a.loops.link = a.daemon.Health.Loop("the control loop"), a.daemon.Health.Loop("the link to the master")
	a.pool = reconcile.NewPool(runtime.NumCPU())
	a.reconciler, err = reconcile.New(reconcile.Config{
		Guard:  a.runtime.guard,
		Engine: a.runtime.engine, Network: a.runtime.network, Volumes: a.runtime.volumes, Prober: a.runtime.prober,
		Disk: a.disk, Logs: reconcile.LogFiles{Root: a.logRoot},
		Executor: a.pool, Clock: a.loops.reconcile.Clock(daemon.Clock), Log: a.daemon.Log, Registerer: a.daemon.Registry,
		Node: func() plan.Node {
			return plan.Node{Name: id.Node, IP: a.runtime.board.IP(), Boot: a.boot,
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
	var nonce [8]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return fmt.Errorf("read random bytes for this run: %w", err)
	}
	a.run = seal.Run{Number: a.disk.Run(), Nonce: binary.BigEndian.Uint64(nonce[:])}
	if a.token != nil {
		return nil // the rest needs to know that the node has joined
	}
	return a.connect()
}

// guardError is what is wrong with the guard, as the control loop knows.
func (a *Agent) guardError() error {
	if a.reconciler == nil {
		return nil // the machine is read before there is one
	}
	return a.reconciler.GuardError()
}

// connect makes the way to the master of a node that has joined.
func (a *Agent) connect() error {
	id := a.keys.id
	box, err := id.box()
	if err != nil {
		return err
	}
	brokers, err := a.brokers(id.Brokers)
	if err != nil {
		return err
	}
	a.bus, err = mqtt.New(mqtt.Config{
		Brokers: brokers, ClientID: mqtt.NodeClientID(id.Cluster, id.Node), PinnedCA: id.CA,
		User: id.Node, Password: box.Password(), PasswordBefore: id.Password,
		Will: func(connection uint64) (string, []byte) { return a.link.Will(connection) },
		BackoffCap: func() time.Duration {
			return min(mqtt.MaxBackoff, a.link.Health().Settings.Timeout()/2)
		},
		Log: a.daemon.Log, Registry: a.daemon.Registry,
	})
	if err != nil {
		return err
	}
	a.link = masterlink.New(masterlink.Config{
		Bus: a.bus, Topics: a.topics, Node: id.Node, Run: a.run,
		BootID: a.boot, Version: daemon.Version, Settings: firstSettings,
		LeaderKey: id.leaderKey(), Box: box, Keys: accountKeys{a.keys, a.bus}, Revoked: id.Revoked, Reconnect: a.bus.Reconnect, Brokers: a.useBrokers,
		Disk: a.disk, Local: local{Reconciler: a.reconciler, board: a.runtime.board}, Frames: frames{a.mux},
		Clock: a.loops.link.Clock(daemon.Clock), Rand: rand.Reader, Logger: a.daemon.Log, Registerer: a.daemon.Registry,
	})
	a.addChecks()
	return nil
}

// brokers are those of the flags, or else those that the token named.
func (a *Agent) brokers(named []string) ([]mqtt.Broker, error) {
	if len(a.config.Brokers) > 0 {
		return a.config.Brokers, nil
	}
	brokers, err := mqtt.ParseBrokers(named)
	if err != nil {
		return nil, fmt.Errorf("the join token: %w", err)
	}
	return brokers, nil
}

// useBrokers takes in which brokers the masters have: they are tried before those of the token, unless the flags name
// others. What it is told is in the desired state, which the disk keeps.
func (a *Agent) useBrokers(named []string) {
	if len(a.config.Brokers) > 0 || len(named) == 0 {
		return
	}
	all := slices.Clone(named[:min(len(named), message.MaxBrokers)])
	for _, b := range a.keys.id.Brokers {
		if !slices.Contains(all, b) {
			all = append(all, b)
		}
	}
	brokers, err := mqtt.ParseBrokers(all)
	if err != nil {
		a.daemon.Log.Warn().Err(err).Msg("the master names brokers that can't be used; those of the join token are")
		return
	}
	a.bus.UseBrokers(brokers)
}

func (a *Agent) addChecks() {
	a.daemon.Health.Check("engine", func() error {
		err := a.reconciler.EngineError()
		if errors.Is(err, engine.ErrAway) && a.config.Engine == EngineContainerd {
			return fmt.Errorf("%w; install containerd and start it (systemctl enable --now containerd), or say with --containerd where it listens (now %s)", err, a.config.Containerd)
		}
		return err
	})
	a.daemon.Health.Check("guard", a.reconciler.GuardError)
	a.daemon.Health.Check("broker", a.bus.Err)
	a.daemon.Health.Check("master", func() error {
		switch h := a.link.Health(); {
		case h.Revoked != 0:
			return errRemoved
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
	log, id := a.daemon.Log, a.keys.id
	log.Info().Str("version", daemon.Version).Str("node", id.Node).Str("cluster", id.Cluster).
		Uint32("run", a.disk.Run()).Msg("the agent starts")
	if a.token != nil {
		a.daemon.Ready() // it may take as long as it takes until a master answers
		if err := a.join(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		if err := a.connect(); err != nil {
			return err
		}
	} else if a.config.Join != "" {
		a.passOver()
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
	parts.Go(func() error { return a.disk.Reserve(ctx) })
	a.daemon.Ready()
	err = parts.Wait()
	log.Info().Msg("the agent has ended; containers go on running")
	return err
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
