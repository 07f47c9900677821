package enginetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

var starts = map[string]func(*testing.T, *bench){
	"a started container runs and carries its labels": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "sleep"))
		c := b.in(t, s.ID, engine.Running)
		if diff := cmp.Diff(s.Labels, c.Labels); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
		if c.Image != b.Image || c.ImageID == "" || c.StartedAt.IsZero() || !c.FinishedAt.IsZero() {
			t.Errorf("listed as %+v", c)
		}
	},
	"starting what runs leaves it alone": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "sleep"))
		before := b.in(t, s.ID, engine.Running)
		b.start(t, s)
		if after := b.in(t, s.ID, engine.Running); !after.StartedAt.Equal(before.StartedAt) || after.PID != before.PID {
			t.Errorf("before %+v, after %+v", before, after)
		}
	},
	"an exit code is kept": func(t *testing.T, b *bench) {
		for _, code := range []int{0, 3, 255} {
			s := b.start(t, b.spec(fmt.Sprintf("exit%d", code), "exit", fmt.Sprint(code)))
			c := b.in(t, s.ID, engine.Exited)
			if c.ExitCode != code || c.OOMKilled {
				t.Errorf("exited with %d (out of memory: %v); want %d", c.ExitCode, c.OOMKilled, code)
			}
			if c.StartedAt.IsZero() || c.FinishedAt.Before(c.StartedAt) {
				t.Errorf("started %s, finished %s", c.StartedAt, c.FinishedAt)
			}
		}
	},
	"one ID runs at most once": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "exit", "4"))
		before := b.in(t, s.ID, engine.Exited)
		b.start(t, s)
		after, _ := b.get(t, s.ID)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("started again (-before +after):\n%s", diff)
		}
	},
	"the next attempt runs beside the last one's remains": func(t *testing.T, b *bench) {
		first := b.start(t, b.attempt("app", 0, "exit", "1"))
		b.in(t, first.ID, engine.Exited)
		second := b.start(t, b.attempt("app", 1, "sleep"))
		b.in(t, second.ID, engine.Running)
		if c, _ := b.get(t, first.ID); c.State != engine.Exited || c.ExitCode != 1 {
			t.Errorf("the first attempt is now %+v", c)
		}
	},
	"a container needs an image that is present": func(t *testing.T, b *bench) {
		s := b.spec("app", "sleep")
		s.Image = b.Missing
		if err := b.Engine.Start(ctx(t), s); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("Start = %v; want ErrNotFound", err)
		}
		b.neverRan(t, s.ID)
	},
	"a command that is not in the image can't be started": func(t *testing.T, b *bench) {
		b.pull(t)
		s := b.spec("app")
		s.Command = []string{"/no/such/command"}
		if err := b.Engine.Start(ctx(t), s); !errors.Is(err, engine.ErrStart) {
			t.Errorf("Start = %v; want ErrStart", err)
		}
		b.neverRan(t, s.ID)
		if err := b.Engine.Remove(ctx(t), s.ID); err != nil {
			t.Errorf("Remove: %v", err)
		}
	},
	"containers of a pod start side by side": func(t *testing.T, b *bench) {
		b.pull(t)
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				if err := b.Engine.Start(ctx(t), b.spec(fmt.Sprintf("c%d", i), "sleep")); err != nil {
					t.Errorf("Start: %v", err)
				}
			})
		}
		group.Wait()
		for i := range 4 {
			b.in(t, b.spec(fmt.Sprintf("c%d", i)).ID, engine.Running)
		}
	},
	"an exit is hinted at": func(t *testing.T, b *bench) {
		woken := make(chan struct{}, 1)
		hints := b.Engine.Events(func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
		defer hints.Close()
		s := b.start(t, b.spec("app", "exit", "0", "50ms"))
		b.in(t, s.ID, engine.Exited)
		c := ctx(t)
		for {
			for {
				id, ok := hints.Next()
				if !ok {
					break
				}
				if id == s.ID || id == "" {
					return
				}
			}
			select {
			case <-woken:
			case <-c.Done():
				t.Fatal("no hint")
			}
		}
	},
}

// neverRan checks what a failed Start leaves.
func (b *bench) neverRan(t *testing.T, id string) {
	t.Helper()
	if c, listed := b.get(t, id); listed && c.State != engine.Created {
		t.Errorf("listed as %+v; want Created or not at all", c)
	}
}
