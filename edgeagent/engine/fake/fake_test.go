package fake_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/engine/enginetest"
	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
	"github.com/skerry-edge/skerry/protocol/clock"
)

func TestContract(t *testing.T) {
	enginetest.Run(t, func(*testing.T) enginetest.World {
		began := time.Now()
		e := fake.New(fake.Config{
			Now: func() clock.Now { return clock.Now{Wall: time.Now(), Boot: time.Since(began)} },
			Images: map[string]fake.Image{
				"skerry.test/probe:1": {Bytes: 1000},
				"skerry.test/alien:1": {Err: engine.ErrWrongArch},
			},
		})
		return enginetest.World{
			Engine:    e,
			Image:     "skerry.test/probe:1",
			Missing:   "skerry.test/missing:1",
			WrongArch: "skerry.test/alien:1",
			Again:     func() engine.Engine { return e },
			Reboot:    e.Reboot,
			Limits:    true,
			Quota:     true,
		}
	})
}

// virtual is a machine whose time only the test moves.
type virtual struct {
	*fake.Engine
	now   clock.Now
	slept time.Duration // by the last call
}

func newVirtual(cfg fake.Config) *virtual {
	v := &virtual{now: clock.Now{Wall: time.Unix(1000, 0), Boot: time.Minute}}
	cfg.Now = func() clock.Now { return v.now }
	cfg.Sleep = func(_ context.Context, d time.Duration) error { v.slept = d; return nil }
	v.Engine = fake.New(cfg)
	return v
}

func (v *virtual) pass(d time.Duration) { v.now = v.now.Add(d); v.Tick() }

func (v *virtual) state(t *testing.T, id string) engine.State {
	t.Helper()
	list, err := v.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.ID == id {
			return c.State
		}
	}
	return ""
}

// In virtual time a call returns at once, says how long it lasted, and what it does is dated accordingly.
func TestVirtualTime(t *testing.T) {
	v := newVirtual(fake.Config{AnyImage: true, StartTime: 2 * time.Second,
		Images: map[string]fake.Image{"slow": {PullTime: time.Minute}}})
	if _, err := v.Pull(t.Context(), "slow", false, nil); err != nil || v.slept != time.Minute {
		t.Fatalf("Pull: %v after %s", err, v.slept)
	}
	if err := v.Start(t.Context(), engine.Spec{ID: "a", Image: "slow", Args: []string{"exit", "3", "10s"}}); err != nil || v.slept != 2*time.Second {
		t.Fatalf("Start: %v after %s", err, v.slept)
	}
	if s := v.state(t, "a"); s != engine.Created {
		t.Errorf("before its start it is %s", s)
	}
	v.pass(2 * time.Second)
	if s := v.state(t, "a"); s != engine.Running {
		t.Errorf("after its start it is %s", s)
	}
	if next := v.Next(); next.Since(v.now) != 10*time.Second {
		t.Errorf("next change in %s", next.Since(v.now))
	}
	v.pass(10 * time.Second)
	if s := v.state(t, "a"); s != engine.Exited {
		t.Errorf("after its end it is %s", s)
	}
	if next := v.Next(); !next.IsNever() {
		t.Errorf("something is due in %s", next.Since(v.now))
	}
}

func TestStopInVirtualTimeEndsAfterTheGrace(t *testing.T) {
	v := newVirtual(fake.Config{AnyImage: true})
	_, _ = v.Pull(t.Context(), "i", false, nil)
	if err := v.Start(t.Context(), engine.Spec{ID: "a", Image: "i", Args: []string{"ignore"}}); err != nil {
		t.Fatal(err)
	}
	if err := v.Stop(t.Context(), "a", 30*time.Second); err != nil || v.slept != 30*time.Second {
		t.Fatalf("Stop: %v after %s", err, v.slept)
	}
	if s := v.state(t, "a"); s != engine.Running {
		t.Errorf("within the grace it is %s", s)
	}
	v.pass(30 * time.Second)
	if s := v.state(t, "a"); s != engine.Exited {
		t.Errorf("after the grace it is %s", s)
	}
}

func TestAwayAndBack(t *testing.T) {
	v := newVirtual(fake.Config{AnyImage: true})
	woken := 0
	hints := v.Events(func() { woken++ })
	_, _ = v.Pull(t.Context(), "i", false, nil)
	_ = v.Start(t.Context(), engine.Spec{ID: "a", Image: "i", Args: []string{"exit", "0", "1s"}})
	v.SetAway(true)
	if _, err := v.List(t.Context()); !errors.Is(err, engine.ErrAway) {
		t.Errorf("List while away: %v", err)
	}
	woken = 0
	v.pass(time.Second)
	if woken != 0 {
		t.Error("hinted while away")
	}
	v.SetAway(false)
	if id, ok := hints.Next(); !ok || id != "" || woken != 1 {
		t.Errorf("on return: hint %q, %v, woken %d times", id, ok, woken)
	}
	if s := v.state(t, "a"); s != engine.Exited {
		t.Errorf("what happened while away: %s", s)
	}
}

func TestFaultsHaveNoEffect(t *testing.T) {
	v := newVirtual(fake.Config{AnyImage: true})
	broken := errors.New("broken")
	_, _ = v.Pull(t.Context(), "i", false, nil)
	v.Fail(fake.Start, broken)
	if err := v.Start(t.Context(), engine.Spec{ID: "a", Image: "i"}); !errors.Is(err, broken) {
		t.Errorf("Start = %v", err)
	}
	if s := v.state(t, "a"); s != "" {
		t.Errorf("the failed start left it %s", s)
	}
	if err := v.Start(t.Context(), engine.Spec{ID: "a", Image: "i"}); err != nil {
		t.Errorf("Start again = %v", err)
	}
}
