package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/edgeagent/doctor"
	"github.com/skerry-edge/skerry/edgeagent/engine/containerd"
	"github.com/skerry-edge/skerry/edgeagent/network"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// Examine looks at the machine and prints what it finds; the error says that it can't be a node. It may be called
// while an agent runs.
func Examine(ctx context.Context, config Config, out io.Writer) error {
	if config.Engine == EngineFake {
		return daemon.Usage(errors.New("--engine fake needs nothing that could be examined; leave it out"))
	}
	dir, err := filepath.Abs(config.DataDir)
	if err != nil {
		return err
	}
	return doctor.Print(out, doctor.Examine(ctx, doctor.Config{
		DataDir: dir, Socket: config.Containerd, User: os.Geteuid(),
		Engine:    func(ctx context.Context) (string, error) { return engineVersion(ctx, config) },
		LogWriter: findLogWriter,
		Guard: func(ctx context.Context) error {
			_, _, err := newGuard(config).Armed(ctx)
			return err
		},
		Network: func() (string, error) { return network.Examine(config.pluginDirs()) },
		Clock:   doctor.ReadClock,
		Disk:    doctor.ReadDisk,
	}))
}

// engineVersion asks containerd with an engine of its own, which does nothing else.
func engineVersion(ctx context.Context, config Config) (version string, err error) {
	parent := containerd.CgroupParent(config.DataDir)
	e, err := containerd.New(containerd.Config{
		Socket: config.Containerd, Namespace: config.Namespace, CgroupParent: parent, Log: zerolog.Nop(),
		Dir: filepath.Join("/run", parent, "examined"), // not that of an agent which runs: an engine clears it up
	})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	return e.Version(ctx)
}
