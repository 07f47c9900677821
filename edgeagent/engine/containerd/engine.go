package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/log"
	"github.com/containerd/platforms"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// Config says which containerd to use and how.
type Config struct {
	Socket    string // of containerd
	Namespace string // of containerd, ours alone

	// Dir holds the small files that the engine makes for each container (hosts, resolv.conf). They need not
	// survive a reboot.
	Dir string
	// CgroupParent is the cgroup that all pods lie below, as CgroupParent(dataDir) says.
	CgroupParent string
	// LogWriter is the absolute path of skerry-log.
	LogWriter string
	// Snapshotter is containerd's plugin for root file systems; empty: overlayfs.
	Snapshotter string
	// Runtime is the OCI runtime's binary; empty: containerd's choice, runc.
	Runtime string

	Log zerolog.Logger
}

// CgroupParent is the cgroup parent of the agent with a data directory: several agents on one machine keep
// apart.
func CgroupParent(dataDir string) string {
	if abs, err := filepath.Abs(dataDir); err == nil {
		dataDir = abs
	}
	sum := sha256.Sum256([]byte(dataDir))
	return "/skerry-" + hex.EncodeToString(sum[:4])
}

// Engine runs containers on containerd. It is an engine.Engine; Run has to run for hints to come and for
// ended shims to go.
type Engine struct {
	Config
	client  *client.Client
	cgroups cgroups
	seccomp bool // the kernel can filter system calls
	match   platforms.MatchComparer

	turns turns // of a sandbox, an image
	hints hintHub
	reaps sync.WaitGroup

	syncMu  sync.Mutex
	version string // containerd's, once known

	foreignMu sync.Mutex
	foreign   map[string]string // images that an archive has only for other machines: the file

	sizesMu sync.Mutex
	sizes   map[string]int64 // of images, by digest
}

var _ engine.Engine = (*Engine)(nil)

// New prepares an engine. It does not talk to containerd yet: while that is away every call says ErrAway.
func New(config Config) (*Engine, error) {
	if config.Snapshotter == "" {
		config.Snapshotter = "overlayfs"
	}
	if err := identifiers.Validate(config.Namespace); err != nil {
		return nil, fmt.Errorf("containerd namespace: %w", err)
	}
	e := &Engine{
		Config:  config,
		match:   platforms.Default(),
		seccomp: kernelHasSeccomp(),
		foreign: map[string]string{},
		sizes:   map[string]int64{},
	}
	// The client library logs by itself, beside what it returns as errors; ours are enough.
	if err := log.SetLevel("fatal"); err != nil {
		return nil, err
	}
	// Pipes of an agent that crashed serve nobody.
	pipes, err := filepath.Glob(filepath.Join(config.Dir, execPrefix+"*"))
	for _, dir := range pipes {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		return nil, fmt.Errorf("remove what a crash left: %w", err)
	}
	if e.cgroups, err = findCgroups(); err != nil {
		return nil, err
	}
	if !e.seccomp {
		e.Log.Warn().Msg("the kernel lacks seccomp: containers run without a system call filter")
	}
	// The default dialer waits for a socket that is not there; ours says so at once. A local socket is
	// back soon after containerd is, so the back-off stays short.
	e.client, err = client.New(config.Socket,
		client.WithDefaultNamespace(config.Namespace),
		client.WithDialOpts([]grpc.DialOption{
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.5, MaxDelay: time.Second},
				MinConnectTimeout: 2 * time.Second,
			}),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(address, "unix://"))
			}),
		}))
	if err != nil {
		return nil, fmt.Errorf("set up the connection to containerd: %w", err)
	}
	return e, nil
}

// Close ends the connection. Containers go on.
func (e *Engine) Close() error { return e.client.Close() }

// Version is containerd's version; ErrAway when it doesn't answer.
func (e *Engine) Version(ctx context.Context) (string, error) {
	e.syncMu.Lock()
	defer e.syncMu.Unlock()
	v, err := e.client.Version(e.in(ctx))
	if err != nil {
		return "", translate(err, "ask containerd for its version")
	}
	e.version = strings.TrimPrefix(v.Version, "v")
	return e.version, nil
}

// in is the context with our namespace.
func (e *Engine) in(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, e.Namespace)
}

// cleaning is a context for taking back what was made, also after the caller's has ended.
func cleaning(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}

// Labels of a container that are the engine's own; List doesn't show them.
const (
	ownPrefix      = "skerry.dev/engine-"
	labelID        = ownPrefix + "id"
	labelImage     = ownPrefix + "image"
	labelImageID   = ownPrefix + "image-id"
	labelSandbox   = ownPrefix + "sandbox"
	labelCgroup    = ownPrefix + "cgroup"
	labelStarted   = ownPrefix + "started"
	labelFinished  = ownPrefix + "finished"
	labelExitCode  = ownPrefix + "exit-code"
	labelOOMKilled = ownPrefix + "oom-killed"
)

// nameOf is what containerd calls the container: the ID, or, where that has a form that containerd doesn't
// take (more than 76 characters, two dashes in a row), its beginning and a hash.
func nameOf(id string) string {
	if identifiers.Validate(id) == nil {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "skerry-" + hex.EncodeToString(sum[:20])
}

// idOf is the ID of one of containerd's containers.
func idOf(c containers.Container) string {
	if id := c.Labels[labelID]; id != "" {
		return id
	}
	return c.ID
}

// turn is what the container takes turns on: its sandbox.
func turn(c containers.Container) string {
	if s := c.Labels[labelSandbox]; s != "" {
		return "sandbox " + s
	}
	return "container " + c.ID
}
