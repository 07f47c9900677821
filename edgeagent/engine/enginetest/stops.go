package enginetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// long is a grace that no check waits for.
const long = time.Hour

var stops = map[string]func(*testing.T, *bench){
	"stopping asks first": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "trap", "7", "20ms"))
		b.in(t, s.ID, engine.Running)
		b.stop(t, s.ID, long)
		if c := b.in(t, s.ID, engine.Exited); c.ExitCode != 7 {
			t.Errorf("exited with %d; want the 7 of its own handler", c.ExitCode)
		}
	},
	"what does not heed is killed after the grace": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "ignore"))
		b.in(t, s.ID, engine.Running)
		b.stop(t, s.ID, 200*time.Millisecond)
		if c, _ := b.get(t, s.ID); c.State != engine.Exited || c.ExitCode != 137 {
			t.Errorf("after Stop returned it is %+v", c)
		}
	},
	"no grace kills at once": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "trap", "0", "10m"))
		b.in(t, s.ID, engine.Running)
		b.stop(t, s.ID, 0)
		if c, _ := b.get(t, s.ID); c.State != engine.Exited || c.ExitCode != 137 {
			t.Errorf("after Stop returned it is %+v", c)
		}
	},
	"a shorter grace overtakes a longer one": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "ignore"))
		b.in(t, s.ID, engine.Running)
		var group sync.WaitGroup
		group.Go(func() { b.stop(t, s.ID, long) })
		b.stop(t, s.ID, 0)
		group.Wait()
		b.in(t, s.ID, engine.Exited)
	},
	"a stop that is given up leaves the container": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "ignore"))
		b.in(t, s.ID, engine.Running)
		c, cancel := context.WithTimeout(ctx(t), 50*time.Millisecond)
		defer cancel()
		if err := b.Engine.Stop(c, s.ID, long); err == nil {
			t.Error("Stop succeeded after its context ended")
		}
		b.in(t, s.ID, engine.Running)
	},
	"stopping again, or what is not there, is success": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "exit", "5"))
		before := b.in(t, s.ID, engine.Exited)
		b.stop(t, s.ID, long)
		if after, _ := b.get(t, s.ID); after.ExitCode != 5 || !after.FinishedAt.Equal(before.FinishedAt) {
			t.Errorf("before %+v, after %+v", before, after)
		}
		b.stop(t, b.uid+"-nobody-0", long)
	},
	"what runs is not removed": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "sleep"))
		b.in(t, s.ID, engine.Running)
		if err := b.Engine.Remove(ctx(t), s.ID); err == nil {
			t.Error("Remove of a running container succeeded")
		}
		b.in(t, s.ID, engine.Running)
	},
	"what is removed is gone, and removing again is success": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "sleep"))
		b.stop(t, s.ID, 0)
		for range 2 {
			if err := b.Engine.Remove(ctx(t), s.ID); err != nil {
				t.Fatalf("Remove: %v", err)
			}
			if c, listed := b.get(t, s.ID); listed {
				t.Fatalf("still listed: %+v", c)
			}
		}
	},
}

func (b *bench) stop(t *testing.T, id string, grace time.Duration) {
	t.Helper()
	if err := b.Engine.Stop(ctx(t), id, grace); err != nil {
		t.Errorf("Stop(%s, %s): %v", id, grace, err)
	}
}
