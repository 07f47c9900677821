package engine

import (
	"context"
	"errors"
	"time"
)

// Errors of an engine. They are wrapped, with the engine's own words behind.
var (
	ErrAway      = errors.New("the container engine does not answer")
	ErrNotFound  = errors.New("not found")
	ErrWrongArch = errors.New("the image has nothing for this architecture")
	ErrDenied    = errors.New("the registry refuses access")
	ErrConfig    = errors.New("the container can't be created as configured")
	ErrNonRoot   = errors.New("container has runAsNonRoot")
	ErrStart     = errors.New("the container's process can't be started")
)

// Labels that every container of Skerry carries, so that a restarted agent adopts what runs.
const (
	LabelPodUID    = "skerry.dev/pod-uid"
	LabelNamespace = "skerry.dev/pod-namespace"
	LabelPod       = "skerry.dev/pod-name"
	LabelContainer = "skerry.dev/container"
	LabelSpecHash  = "skerry.dev/spec-hash"
	LabelAttempt   = "skerry.dev/attempt" // 0 for the first run of the container, then 1, 2, …
	// LabelGuarded is "true" for a container that may run only while its pod has a permit: it is told from others also by an
	// agent that does not know the pod.
	LabelGuarded = "skerry.dev/guarded"
)

// Engine runs containers on this node. All methods may be called from several goroutines, block until done
// or until ctx ends, and, but for Exec, may be repeated: what is already as asked is success.
type Engine interface {
	// List returns every container of ours, whatever its state. ErrAway when the engine can't be asked: an
	// empty list always means that there is none.
	List(ctx context.Context) ([]Container, error)

	// Pull makes an image present and returns its digest. What is present under that name is not fetched
	// again unless always is set. progress may be called from another goroutine, at most a few times a
	// second, and only when the registry is asked for something; it may be nil. Errors: ErrConfig (not an
	// image name), ErrNotFound, ErrDenied, ErrWrongArch, ErrAway, or the registry's. After an error what was
	// present before still is.
	Pull(ctx context.Context, image string, always bool, progress func(Progress)) (digest string, err error)

	// Start creates the container and starts its process. A container with that ID that runs, or has run, is
	// left alone: one ID runs at most once. One that was created but never started is started. Errors:
	// ErrNotFound (no such image), ErrConfig (nothing was created; with ErrNonRoot where that is why),
	// ErrWrongArch, ErrStart (the command can't be executed: trying again is no use), ErrAway. After an error
	// the container is listed as Created or not at all.
	Start(ctx context.Context, spec Spec) error

	// Stop sends the stop signal, waits for grace, then kills, and returns when no process is left. With no
	// grace it kills at once. A second Stop may overtake one that waits, with a shorter grace. The container
	// stays listed, with its exit code (137 after a kill). One that is not there is success. When ctx ends
	// first the container may still run.
	Stop(ctx context.Context, id string, grace time.Duration) error

	// Remove deletes a container that has no process any more, with its writable layer. It refuses one that
	// runs. One that is not there is success.
	Remove(ctx context.Context, id string) error

	// Exec runs one more process in a container that runs, and returns its exit code once it has ended and all
	// that it printed has been written. When ctx ends first, or the container does, the process gets SIGHUP and
	// soon SIGKILL, and the error is the context's. Errors: ErrNotFound (no such container, or it does not run),
	// ErrStart (the command can't be executed), ErrAway. It is the one call that must not be repeated.
	Exec(ctx context.Context, id string, x Exec) (code int, err error)

	// Usage reads the counters of every container that runs. One whose counters can't be read is left out.
	Usage(ctx context.Context) ([]Usage, error)

	// Images lists what is present.
	Images(ctx context.Context) ([]Image, error)

	// Events wakes whoever drains the hints. They tell that something happened to a container, never what
	// it is like now, and may be lost: after ErrAway, list everything again.
	Events(wake func()) Hints
}

// Hints is the end of Engine.Events that a loop pulls on.
type Hints interface {
	// Next returns the id of a container to look at again; ok is false when there is none for now. An
	// empty id means: all of them.
	Next() (id string, ok bool)
	Close()
}

// State of a container's process.
type State string

// The states.
const (
	Created State = "created" // never started
	Running State = "running"
	Exited  State = "exited"
	Lost    State = "lost" // had been started, its process vanished without an exit code: the machine went down
)

// Container is one container as the engine has it.
type Container struct {
	ID         string
	Labels     map[string]string
	Image      string // as the pod names it
	ImageID    string // digest
	State      State
	PID        int
	StartedAt  time.Time // wall clock; zero when unknown
	FinishedAt time.Time // likewise
	ExitCode   int
	OOMKilled  bool
}

// Usage is what one running container has used and uses.
type Usage struct {
	ID     string
	Labels map[string]string
	At     time.Time     // when the counters were read; differences are exact
	CPU    time.Duration // of all its processes and all cores, since it started
	Memory int64         // bytes that it holds and that the kernel can't simply drop: the working set
}

// Spec is everything that is needed to run one container; nothing in it refers to the API.
type Spec struct {
	ID       string // unique on this engine: <pod uid>-<container>-<attempt>
	Labels   map[string]string
	Image    string
	Command  []string // replaces the image's entrypoint, and its command, when set
	Args     []string // replaces the image's command when set
	Env      []string // KEY=value, added to the image's
	Dir      string   // working directory; empty: the image's
	User     *int64   // numeric user; nil: the image's
	Group    *int64
	NonRoot  bool    // refuse to start as root, or as a user of the image whose number is not known
	Groups   []int64 // more groups, besides those that the image's /etc/group gives the user
	Mounts   []Mount
	Hostname string
	Hosts    []Host // lines of /etc/hosts, besides those of loopback

	Privileged                        bool
	ReadOnlyRoot                      bool
	AddCapabilities, DropCapabilities []string          // without CAP_; "ALL" is understood
	AllowPrivilegeEscalation          bool              // a process may gain privileges that its parent has not, as by setuid
	SeccompUnconfined                 bool              // no system call filter; else the default profile
	Sysctls                           map[string]string // of the container's own namespaces

	Sandbox string // the pod's uid: containers of one sandbox share a shim
	NetNS   string // path of the network namespace to join; empty: the engine's own
	Cgroup  string // cgroup path below the agent's parent, one per pod

	CPUMilli    int64 // limit in thousandths of a core; 0: none
	CPUShares   uint64
	MemoryBytes int64  // limit; 0: none
	OOMScore    int    // the kernel's oom_score_adj: who goes first when the machine's memory runs out, 1000 before all
	StopSignal  string // empty: the image's, or SIGTERM
	LogDir      string // directory of the container's log files, on the host
	LogMaxBytes int64  // of one file
	LogMaxFiles int
	TTY, Stdin  bool
}

// Host is a line of /etc/hosts.
type Host struct {
	IP    string
	Names []string
}

// Mount binds a host path into a container.
type Mount struct {
	Source, Target string
	ReadOnly       bool
}

// Progress of a pull. Total is 0 while unknown.
type Progress struct {
	Status      string // "resolving", "downloading", "extracting"
	Done, Total int64  // bytes
}

// Image is an image that is present.
type Image struct {
	Names  []string
	Digest string
	Bytes  int64
	Pinned bool // imported from a file: never collected
}
