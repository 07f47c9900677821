package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/engine/containerd"
	"github.com/skerry-edge/skerry/edgeagent/guard"
	"github.com/skerry-edge/skerry/edgeagent/machine"
	"github.com/skerry-edge/skerry/edgeagent/network"
	"github.com/skerry-edge/skerry/edgeagent/plan"
	"github.com/skerry-edge/skerry/edgeagent/probe"
	"github.com/skerry-edge/skerry/edgeagent/reconcile"
	"github.com/skerry-edge/skerry/edgeagent/session"
	"github.com/skerry-edge/skerry/edgeagent/volume"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/message"
)

// board is the machine that the agent runs on. Its methods don't block.
type board interface {
	Node() []byte               // its labels and status, a corev1.Node as protobuf
	Readings() message.Readings // the newest
	IP() string                 // empty: unknown
}

// runtimeParts are what is real or fake together.
type runtimeParts struct {
	engine  engine.Engine
	network reconcile.Network
	volumes reconcile.Volumes // nil: fake
	prober  reconcile.Prober  // likewise
	guard   reconcile.Guard
	dial    session.Dial // a pod's port
	board   board
	runs    []func(context.Context) error // their loops
	close   func() error
}

// newRuntime prepares what runs containers. changed is called when the board's Node has changed, guardError says what is
// wrong with the guard.
func newRuntime(config Config, node string, changed func(), guardError func() error, d *daemon.Daemon) (*runtimeParts, error) {
	if config.Engine == EngineFake {
		return newFakeRuntime(config, node)
	}
	logWriter, err := findLogWriter()
	if err != nil {
		return nil, err
	}
	// What need not outlive a reboot, and has a name of its own for each agent on this machine.
	parent := containerd.CgroupParent(config.DataDir)
	volatile := filepath.Join("/run", parent)
	e, err := containerd.New(containerd.Config{
		Socket: config.Containerd, Namespace: config.Namespace, Dir: filepath.Join(volatile, "files"),
		CgroupParent: parent, LogWriter: logWriter, Log: d.Log,
	})
	if err != nil {
		return nil, err
	}
	pods, err := network.New(network.Config{Dir: volatile, Name: parent, PluginDirs: config.pluginDirs()})
	if err != nil {
		return nil, errors.Join(explainRoot(err), e.Close())
	}
	m, err := machine.New(machine.Config{
		Name: node, Labels: config.Labels, DataDir: config.DataDir, Version: daemon.Version, Log: d.Log, Changed: changed,
		Engine: func(ctx context.Context) string {
			version, err := e.Version(ctx)
			if err != nil {
				return "" // it is away, which the control loop notices too
			}
			return "containerd://" + version
		},
		Network: pods,
		Guard:   guardError,
		Images:  func(ctx context.Context) ([]corev1.ContainerImage, error) { return images(ctx, e) },
	})
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	volumes, err := volume.New(volume.Config{Root: podRoot(config)})
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	imports := &importing{Engine: e, done: make(chan struct{})}
	return &runtimeParts{
		engine: imports, network: pods, volumes: volumes, prober: probe.Prober{Engine: e}, guard: newGuard(config), dial: network.Dial, board: m, close: e.Close,
		runs: []func(context.Context) error{
			e.Run, m.Run,
			func(ctx context.Context) error {
				imports.run(ctx, filepath.Join(config.DataDir, "images"), e.Import, d.Log)
				return nil
			},
		},
	}, nil
}

// guardedGroup is the cgroup of the pods that the guard ends, as the engine makes it.
func guardedGroup(config Config) string {
	return filepath.Join("/", containerd.CgroupParent(config.DataDir), plan.GuardedCgroup)
}

// guarding is skerry-guard as the control loop has it.
type guarding struct{ *guard.Client }

// newGuard is the guard of the pods that need a permit.
func newGuard(config Config) guarding {
	return guarding{guard.New(guard.Config{Socket: config.Guard, Group: guardedGroup(config)})}
}

// Armed implements reconcile.Guard.
func (g guarding) Armed(ctx context.Context) (time.Duration, bool, error) {
	state, err := g.State(ctx)
	return state.Deadline, state.Armed, err
}

// podRoot is the directory of all pods' volumes.
func podRoot(config Config) string { return filepath.Join(config.DataDir, "pods") }

// explainRoot says what lacks to a user who is not root.
func explainRoot(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w; skerry-agent must run as root", err)
	}
	return err
}

// logWriterName is the program that shims start for each container's output.
const logWriterName = "skerry-log"

// findLogWriter looks beside the agent's own program, then in PATH.
func findLogWriter() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the agent's own program: %w", err)
	}
	beside := filepath.Join(filepath.Dir(self), logWriterName)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	if found, err := exec.LookPath(logWriterName); err == nil {
		return filepath.Abs(found)
	}
	return "", fmt.Errorf("the program %s is neither beside skerry-agent (%s) nor in PATH; install it in one of these places", logWriterName, beside)
}

// images are what a node's status lists.
func images(ctx context.Context, e engine.Engine) ([]corev1.ContainerImage, error) {
	list, err := e.Images(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]corev1.ContainerImage, 0, len(list))
	for _, i := range list {
		out = append(out, corev1.ContainerImage{Names: i.Names, SizeBytes: i.Bytes})
	}
	return out, nil
}

// importing is an engine that pulls nothing before the archives on the disk are imported: what lies there needs no
// registry.
type importing struct {
	engine.Engine
	done chan struct{} // closed once the import has ended
}

// Pull implements engine.Engine.
func (i *importing) Pull(ctx context.Context, image string, always bool, progress func(engine.Progress)) (string, error) {
	select {
	case <-i.done:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return i.Engine.Pull(ctx, image, always, progress)
}

// importRetry is how often the import is tried while containerd is away.
const importRetry = 2 * time.Second

// run imports the archives of a directory, as soon as the engine answers.
func (i *importing) run(ctx context.Context, dir string, from func(context.Context, string) ([]string, error), log zerolog.Logger) {
	for {
		names, err := from(ctx, dir)
		if !errors.Is(err, engine.ErrAway) {
			if err != nil {
				log.Error().Err(err).Str("dir", dir).Msg("not all image archives could be imported")
			}
			if len(names) > 0 {
				log.Info().Strs("images", names).Msg("image archives imported")
			}
			close(i.done)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(importRetry):
		}
	}
}
