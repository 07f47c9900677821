package thousand

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/edgeagent/agent"
	"github.com/skerry-edge/skerry/protocol/ballast"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// batch is how many nodes join at a time. A broker lets 64 strangers in from one address, and who is turned away comes back
// only after a while: all at once they would get in, too, but some of them much later on a busy machine.
const batch = 50

// startNodes runs agents with the fake engine, each with a data directory of its own, until the test ends. They join the
// master that leads.
func startNodes(t *testing.T, leader *master, count int) {
	t.Helper()
	dir, token := nodeDir(t), leader.token(map[string]any{"ttlSeconds": 3600, "uses": 0})
	ctx, cancel := context.WithCancel(context.Background())
	running, ctx := errgroup.WithContext(ctx)
	t.Cleanup(func() {
		cancel()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	})
	for i := range count {
		name := fmt.Sprintf("node-%04d", i)
		running.Go(func() error {
			if err := runNode(ctx, filepath.Join(dir, name), name, token); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
		if (i+1)%batch == 0 || i+1 == count {
			leader.proven(i + 1)
		}
	}
}

func runNode(ctx context.Context, dir, name, token string) error {
	if err := sparseBallast(dir); err != nil {
		return err
	}
	a, err := agent.New(agent.Config{DataDir: dir, NodeName: name, Engine: agent.EngineFake, Join: token},
		daemon.New(name, zerolog.Nop(), io.Discard))
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// sparseBallast puts a file of holes where an agent would reserve room on its disk by writing 2 MiB of noise: a thousand
// boards have a thousand disks for that.
func sparseBallast(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(dir, ballast.FileName)
	return errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 2<<20))
}

// nodeMemory is what the data of a thousand nodes take, and as much again: each agent allocates 4 MiB for its database.
const nodeMemory = 8 << 30

// nodeDir is a directory in memory, where there is room, or else one on the disk: a thousand nodes that sync on one disk
// would measure the disk.
func nodeDir(t *testing.T) string {
	t.Helper()
	const shm = "/dev/shm"
	var s unix.Statfs_t
	if err := unix.Statfs(shm, &s); err != nil || int64(s.Bavail)*s.Frsize < nodeMemory || available() < nodeMemory {
		t.Log("the nodes' data are on the disk, for there is not enough memory")
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(shm, "skerry-thousand-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// available is how many bytes of memory programs may still take, or zero.
func available() (bytes int64) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &bytes); n == 1 {
			return bytes << 10
		}
	}
	return 0
}
