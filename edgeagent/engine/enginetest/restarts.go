package enginetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

var restarts = map[string]func(*testing.T, *bench){
	"a restarted agent finds what runs as it was": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "trap", "9"))
		before := b.in(t, s.ID, engine.Running)
		b.Engine = b.Again()
		after := b.in(t, s.ID, engine.Running)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("adopted differently (-before +after):\n%s", diff)
		}
		b.stop(t, s.ID, long)
		if c := b.in(t, s.ID, engine.Exited); c.ExitCode != 9 {
			t.Errorf("after the restart it exited with %d; want 9", c.ExitCode)
		}
	},
	"an exit code outlives the agent": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "exit", "6", "30ms"))
		b.Engine = b.Again()
		if c := b.in(t, s.ID, engine.Exited); c.ExitCode != 6 {
			t.Errorf("exited with %d; want 6", c.ExitCode)
		}
		b.Engine = b.Again()
		if c := b.in(t, s.ID, engine.Exited); c.ExitCode != 6 {
			t.Errorf("after one more restart: exited with %d; want 6", c.ExitCode)
		}
	},
	"a reboot loses what ran and keeps what had ended": func(t *testing.T, b *bench) {
		if b.Reboot == nil {
			t.Skip("a reboot can't be made here")
		}
		ran, ended := b.start(t, b.spec("ran", "sleep")), b.start(t, b.spec("ended", "exit", "8"))
		b.in(t, ran.ID, engine.Running)
		b.in(t, ended.ID, engine.Exited)
		b.Reboot()
		b.Engine = b.Again()
		b.in(t, ran.ID, engine.Lost)
		if c := b.in(t, ended.ID, engine.Exited); c.ExitCode != 8 {
			t.Errorf("what had ended is now %+v", c)
		}
		b.start(t, ran) // one ID runs at most once
		b.in(t, ran.ID, engine.Lost)
		b.stop(t, ran.ID, long)
		if err := b.Engine.Remove(ctx(t), ran.ID); err != nil {
			t.Errorf("Remove of a lost container: %v", err)
		}
		next := b.start(t, b.attempt("ran", 1, "sleep"))
		b.in(t, next.ID, engine.Running)
	},
}
