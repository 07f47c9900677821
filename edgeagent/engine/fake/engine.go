package fake

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Config of an Engine.
type Config struct {
	Now clock.Source // required

	// Sleep, when set, makes time virtual: it is told how long the current call lasts and returns at once.
	// Tick must then be called when Next is due.
	Sleep func(ctx context.Context, d time.Duration) error

	Images    map[string]Image // what the registry has, by the names that pods use
	AnyImage  bool             // it has every other image, too
	StartTime time.Duration    // from Start to a running process
}

// Image is what a registry knows of an image.
type Image struct {
	Digest   string // empty: derived from the name
	Bytes    int64
	PullTime time.Duration
	Err      error // what a pull comes to, after PullTime: engine.ErrDenied, ErrWrongArch, …
	Present  bool  // there from the start, as if imported: needs no registry, never collected
	// Program says how a container of this image behaves; nil: as the words of package enginetest say.
	Program func(engine.Spec) Behaviour
}

// Counts are the calls that did something since the machine was made.
type Counts struct{ Pulls, Starts, Stops, Removes int }

// Engine is one machine's engine. It implements engine.Engine.
type Engine struct {
	cfg Config

	mu         sync.Mutex
	containers map[string]*container
	registry   map[string]Image
	present    map[string]engine.Image
	offline    bool // the registry does not answer
	away       bool // the engine does not answer
	faults     map[Call][]error
	counts     Counts
	hints      []*hints
	guard      *Guard
	lastPID    int
	timer      *time.Timer // calls Tick when a container changes by itself; nil in virtual time
}

// New makes a machine's engine that has run nothing yet.
func New(cfg Config) *Engine {
	e := &Engine{
		cfg:        cfg,
		containers: map[string]*container{},
		registry:   maps.Clone(cfg.Images),
		present:    map[string]engine.Image{},
		faults:     map[Call][]error{},
	}
	e.guard = &Guard{e: e}
	if e.registry == nil {
		e.registry = map[string]Image{}
	}
	for name, i := range e.registry {
		if i.Present {
			e.present[name] = engine.Image{Names: []string{name}, Digest: digest(name, i), Bytes: i.Bytes, Pinned: true}
		}
	}
	return e
}

func digest(name string, i Image) string {
	if i.Digest != "" {
		return i.Digest
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name)))
}

// List implements engine.Engine; containers are sorted by ID.
func (e *Engine) List(ctx context.Context) ([]engine.Container, error) {
	e.mu.Lock()
	defer e.unlockAndWake()
	if err := e.begin(ctx, List); err != nil {
		return nil, err
	}
	return e.listed(), nil
}

// listed is every container, sorted by ID. The caller holds the lock.
func (e *Engine) listed() []engine.Container {
	out := make([]engine.Container, 0, len(e.containers))
	for _, id := range slices.Sorted(maps.Keys(e.containers)) {
		out = append(out, e.containers[id].listed())
	}
	return out
}

// Images implements engine.Engine; images are sorted by name.
func (e *Engine) Images(ctx context.Context) ([]engine.Image, error) {
	e.mu.Lock()
	defer e.unlockAndWake()
	if err := e.begin(ctx, List); err != nil {
		return nil, err
	}
	var out []engine.Image
	for _, name := range slices.Sorted(maps.Keys(e.present)) {
		out = append(out, e.present[name])
	}
	return out, nil
}

// Start implements engine.Engine.
func (e *Engine) Start(ctx context.Context, spec engine.Spec) error {
	wait, err := e.start(ctx, spec)
	if err != nil || wait <= 0 {
		return err
	}
	return e.sleep(ctx, wait)
}

func (e *Engine) start(ctx context.Context, spec engine.Spec) (time.Duration, error) {
	e.mu.Lock()
	defer e.unlockAndWake()
	if err := e.begin(ctx, Start); err != nil {
		return 0, err
	}
	now := e.cfg.Now()
	c := e.containers[spec.ID]
	if c == nil {
		image, ok := e.present[spec.Image]
		if !ok {
			return 0, fmt.Errorf("start %s: image %s: %w", spec.ID, spec.Image, engine.ErrNotFound)
		}
		c = &container{spec: spec, imageID: image.Digest, state: engine.Created, ended: make(chan struct{})}
		c.spec.Labels = maps.Clone(spec.Labels)
		e.containers[spec.ID] = c
	}
	if c.state != engine.Created || c.starting {
		return max(0, c.startAt-now.Boot), nil
	}
	behaviour := behave(c.spec, e.registry[c.spec.Image].Program)
	if behaviour.Unstartable {
		return 0, fmt.Errorf("start %s: %s: %w", spec.ID, c.spec.Command, engine.ErrStart)
	}
	e.counts.Starts++
	e.lastPID++
	c.starting, c.behaviour, c.pid = true, behaviour, e.lastPID
	c.startAt, c.endAt = now.Boot+e.cfg.StartTime, never
	if behaviour.Ends {
		c.endAt, c.code, c.oom = c.startAt+behaviour.After, behaviour.Code, behaviour.OOM
	}
	e.settle()
	return e.cfg.StartTime, nil
}

// Remove implements engine.Engine.
func (e *Engine) Remove(ctx context.Context, id string) error {
	e.mu.Lock()
	defer e.unlockAndWake()
	if err := e.begin(ctx, Remove); err != nil {
		return err
	}
	c := e.containers[id]
	if c == nil {
		return nil
	}
	if c.state == engine.Running || c.starting {
		return fmt.Errorf("remove %s: it runs", id)
	}
	e.counts.Removes++
	delete(e.containers, id)
	return nil
}

// begin is the start of each call: it brings the containers up to now and fails where the test said so. The
// caller holds the lock.
func (e *Engine) begin(ctx context.Context, call Call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.settle()
	if e.away {
		return fmt.Errorf("%s: %w", call, engine.ErrAway)
	}
	if planned := e.faults[call]; len(planned) > 0 {
		e.faults[call] = planned[1:]
		return planned[0]
	}
	return nil
}

// sleep lasts d on the engine's clock.
func (e *Engine) sleep(ctx context.Context, d time.Duration) error {
	if e.cfg.Sleep != nil {
		return e.cfg.Sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
