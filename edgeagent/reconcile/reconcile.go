package reconcile

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/network"
	"github.com/skerry-edge/skerry/edgeagent/plan"
	"github.com/skerry-edge/skerry/edgeagent/pod"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/loop"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Network gives pods their network namespaces. All methods may be repeated, and called from several goroutines;
// they block until done.
type Network interface {
	// Prepare makes the pod's network and returns the path of the namespace to join (empty: the engine's own)
	// and the pod's address (empty: the host's). List does not have pods on the host's network.
	Prepare(ctx context.Context, pod network.Pod) (path, ip string, err error)
	// Release removes the pod's network. One that is not there is success.
	Release(ctx context.Context, podUID string) error
	// List returns the pods that have one, by uid, with their addresses (empty: none yet).
	List(ctx context.Context) (map[string]string, error)
}

// Volumes makes the volumes of pods. All methods may be repeated, and called from several goroutines; they block
// until done.
type Volumes interface {
	// Mount makes a pod's volumes what they are to be, also while containers use them.
	Mount(ctx context.Context, podUID string, volumes []pod.Volume) error
	// Bind prepares the parts of volumes that a container mounts by themselves.
	Bind(podUID string, parts []pod.SubPath) error
	// Unmount removes all volumes of a pod. Ones that are not there are success.
	Unmount(ctx context.Context, podUID string) error
	// List returns the uids of the pods that have any.
	List(ctx context.Context) ([]string, error)
}

// Prober calls containers, as their probes and hooks say.
type Prober interface {
	// Call makes one call of a container that runs; an error says what is wrong with it.
	Call(ctx context.Context, id string, c pod.Call) error
}

// Disk keeps what must outlive the agent. Its methods return after an fsync and write nothing that is there.
type Disk interface {
	Desired() (position message.Position, digest message.Digest, content []byte, err error)
	Records() (map[string][]byte, error)
	KeepRecords(records map[string][]byte) error // nil forgets one
}

// Logs are the pods' log files. The methods may be repeated.
type Logs interface {
	RemoveAttempt(podUID, container string, attempt int) error
	RemovePod(podUID string) error
}

// Lane says how much of a kind of work may go on at once.
type Lane string

// The lanes.
const (
	LaneList  Lane = "list"  // short, and everything waits for it
	LanePull  Lane = "pull"  // bound by the network
	LaneStart Lane = "start" // bound by the processor and the disk
	LaneStop  Lane = "stop"  // mostly waits
	LaneProbe Lane = "probe" // short, and many
	LaneGuard Lane = "guard" // short, and nothing else may hold it up
	LaneHook  Lane = "hook"  // mostly waits, for any time: nothing waits for its turn
)

// Executor carries out work aside.
type Executor interface {
	// Submit has work done soon, and then calls done, once, from any goroutine. It does not block. cancel ends
	// the context of the work, which goes on to call done; work that has not begun by then need not be done.
	Submit(lane Lane, work func(ctx context.Context), done func()) (cancel func())
}

// Config is what a Reconciler needs.
type Config struct {
	Engine   engine.Engine
	Network  Network
	Volumes  Volumes // nil: there are none, and nobody misses them
	Prober   Prober  // nil: every container is well
	Disk     Disk
	Guard    Guard // nil: pods that need a permit are not started
	Logs     Logs  // nil: there are none
	Executor Executor
	Clock    clock.Source
	Node     func() plan.Node // what is known of the machine; called at each step
	Log      zerolog.Logger
	Changed  func() // called when statuses or events have changed; must not block; may be nil
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
	// Wake, if set, is called from any goroutine whenever Step has something to do. Run needs none.
	Wake func()
	// Relist is how often everything is listed though nothing hints at a change; 0: a minute.
	Relist time.Duration
}

// Reconciler is the loop. Accept, Grant, Release, Statuses, Permits, the methods that take, the errors and Wake may be called from any goroutine, Step
// and Run from one.
type Reconciler struct {
	cfg     Config
	hints   engine.Hints
	woken   chan struct{}
	metrics metrics

	// Step's own.
	desired  *plan.Desired
	subnet   netip.Prefix // of the node's pods, as last heard; invalid: never
	memories map[string]*pod.Memory
	records  map[string]string // as on the disk
	doing    map[string]*work  // by key
	listing  *listing
	list     lister
	seq      uint64            // counts what happened
	touched  map[string]uint64 // by pod: seq of what last happened to it
	nextPlan clock.Now
	permits  permits

	// The world's way in and out.
	mu        sync.Mutex
	accepted  *message.Content
	finished  []finished
	listed    []listed
	version   uint64
	statuses  []message.PodStatus
	events    eventQueue
	engineErr error
}

// work is an action under way.
type work struct {
	action    pod.Action
	cancel    func()
	cancelled *pod.Action
	hooked    bool // the container was started, its postStart hook is called
}

// finished is an action that has been carried out.
type finished struct {
	action pod.Action
	result pod.Result
}

// New makes a Reconciler that is about to run what the disk says.
func New(cfg Config) (*Reconciler, error) {
	if cfg.Relist == 0 {
		cfg.Relist = time.Minute
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	r := &Reconciler{
		cfg: cfg, woken: make(chan struct{}, 1),
		memories: map[string]*pod.Memory{}, records: map[string]string{},
		doing: map[string]*work{}, touched: map[string]uint64{},
		list: lister{wanted: true},
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	var err error
	if r.metrics, err = newMetrics(cfg.Registerer, r); err != nil {
		return nil, err
	}
	r.hints = cfg.Engine.Events(r.Wake)
	return r, nil
}

func (r *Reconciler) loadDesired(encoded []byte) error {
	content, err := message.Decode[message.Content](encoded)
	if err != nil {
		return err
	}
	desired, err := plan.Decode(content)
	if err != nil {
		return err
	}
	r.desired, r.subnet = desired, desired.Subnet
	return nil
}

// load reads what the agent before has left.
func (r *Reconciler) load() error {
	position, _, encoded, err := r.cfg.Disk.Desired()
	if err != nil {
		return err
	}
	if position != (message.Position{}) {
		if err := r.loadDesired(encoded); err != nil {
			// Nothing is touched without a desired state, and the master sends one again.
			r.cfg.Log.Error().Err(err).Msg("the stored desired state can't be read; what runs goes on, until the master sends it again")
		}
	}
	records, err := r.cfg.Disk.Records()
	if err != nil {
		return err
	}
	for uid, data := range records {
		r.records[uid] = string(data)
		record, err := pod.DecodeRecord(data)
		if err != nil {
			r.cfg.Log.Error().Err(err).Str("pod", uid).Msg("the record of a pod is unreadable; its restart counts begin anew")
			continue
		}
		r.memories[uid] = &pod.Memory{Record: record}
	}
	return nil
}

// Accept tells the node what to run from now on. Repeating it changes nothing.
func (r *Reconciler) Accept(content message.Content) {
	r.mu.Lock()
	r.accepted = &content
	r.mu.Unlock()
	r.Wake()
}

// Statuses are those of the pods that are on the node or shall be; version changes whenever they do. The slice is
// the caller's to read. A pod about which nothing is known yet, because the engine has not answered since the
// agent started, is not among them.
func (r *Reconciler) Statuses() (version uint64, pods []message.PodStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.version, r.statuses
}

// TakeEvents returns what happened to pods since the last call, at most message.MaxEvents.
func (r *Reconciler) TakeEvents() []message.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events.take(message.MaxEvents)
}

// EngineError is why the engine could not be asked the last time; nil when it could.
func (r *Reconciler) EngineError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.engineErr
}

// Wake makes Run take a step soon.
func (r *Reconciler) Wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
	if r.cfg.Wake != nil {
		r.cfg.Wake()
	}
}

// Run steps until ctx ends. Containers go on running.
func (r *Reconciler) Run(ctx context.Context) error {
	defer r.hints.Close()
	return loop.Run(ctx, r.cfg.Clock, r.woken, func(now clock.Now) (clock.Now, error) { return r.Step(now), nil })
}
