package enginetest

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// World is one engine with what the suite needs around it. Each sub-test gets one of its own, or one that
// several share as long as nothing of an earlier sub-test disturbs: the suite names its containers anew each
// time and looks at no others.
type World struct {
	Engine engine.Engine

	Image     string // holds the test program; present, imported or ready to be pulled
	Missing   string // a well-formed name that no registry in reach has
	WrongArch string // an image for another architecture only; empty: none at hand

	// Again returns an engine over the same containers, as a restarted agent makes it. The old one is not
	// used afterwards.
	Again func() engine.Engine
	// Reboot ends every process without an exit code and forgets what a machine forgets that loses its
	// power. Nil where that can't be done.
	Reboot func()

	LogDir string // where container logs may go; empty: nowhere
	NetNS  string // a network namespace to join; empty: the engine's own
	Limits bool   // memory limits work here
	Quota  bool   // limits of processor time work here
}

// patience bounds each wait for something that is sure to come.
const patience = 30 * time.Second

// Run checks the contract. factory is called once for each sub-test.
func Run(t *testing.T, factory func(t *testing.T) World) {
	for _, group := range []map[string]func(*testing.T, *bench){images, starts, stops, specs, restarts, execs, usages} {
		for name, check := range group {
			t.Run(name, func(t *testing.T) {
				b := &bench{World: factory(t), uid: newUID()}
				t.Cleanup(func() { b.clear(t) })
				check(t, b)
			})
		}
	}
}

// newUID names the pod of one sub-test, unlike all others that the same engine may hold.
func newUID() string { return fmt.Sprintf("enginetest-%x", time.Now().UnixNano()) }

// bench is one World in use: it names containers and knows which are its own.
type bench struct {
	World
	uid string
}

// spec is a container that runs the test program.
func (b *bench) spec(name string, args ...string) engine.Spec { return b.attempt(name, 0, args...) }

func (b *bench) attempt(name string, attempt int, args ...string) engine.Spec {
	id := fmt.Sprintf("%s-%s-%d", b.uid, name, attempt)
	s := engine.Spec{
		ID: id,
		Labels: map[string]string{
			engine.LabelPodUID:    b.uid,
			engine.LabelNamespace: "default",
			engine.LabelPod:       "enginetest",
			engine.LabelContainer: name,
			engine.LabelSpecHash:  "0123456789abcdef",
			engine.LabelAttempt:   strconv.Itoa(attempt),
		},
		Image:   b.Image,
		Args:    args,
		Sandbox: b.uid,
		NetNS:   b.NetNS,
		Cgroup:  b.uid,
	}
	if b.LogDir != "" {
		s.LogDir = b.LogDir + "/" + b.uid + "/" + name
		s.LogMaxBytes, s.LogMaxFiles = 1<<20, 2
	}
	return s
}

// pull makes the image present.
func (b *bench) pull(t *testing.T) {
	t.Helper()
	if _, err := b.Engine.Pull(ctx(t), b.Image, false, nil); err != nil {
		t.Fatalf("Pull(%s): %v", b.Image, err)
	}
}

// start pulls the image and starts a container.
func (b *bench) start(t *testing.T, s engine.Spec) engine.Spec {
	t.Helper()
	b.pull(t)
	if err := b.Engine.Start(ctx(t), s); err != nil {
		t.Fatalf("Start(%s): %v", s.ID, err)
	}
	return s
}

// get returns the container as the engine lists it.
func (b *bench) get(t *testing.T, id string) (engine.Container, bool) {
	t.Helper()
	list, err := b.Engine.List(ctx(t))
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	for _, c := range list {
		if c.ID == id {
			return c, true
		}
	}
	return engine.Container{}, false
}

// in waits until the container is in a state and returns it.
func (b *bench) in(t *testing.T, id string, want engine.State) engine.Container {
	t.Helper()
	var last engine.Container
	wait(t, fmt.Sprintf("%s is %s", id, want), func() bool {
		last, _ = b.get(t, id)
		return last.State == want
	})
	return last
}

// wait polls until a condition holds.
func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %s: %s", patience, what)
		}
	}
}

// clear removes what the sub-test left.
func (b *bench) clear(t *testing.T) {
	c, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	list, err := b.Engine.List(c)
	if err != nil {
		t.Errorf("List while clearing up: %v", err)
	}
	for _, container := range list {
		if container.Labels[engine.LabelPodUID] != b.uid {
			continue
		}
		if err := b.Engine.Stop(c, container.ID, 0); err != nil {
			t.Errorf("Stop(%s) while clearing up: %v", container.ID, err)
		}
		if err := b.Engine.Remove(c, container.ID); err != nil {
			t.Errorf("Remove(%s) while clearing up: %v", container.ID, err)
		}
	}
}

// ctx is a context that no correct engine outlives.
func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return c
}
