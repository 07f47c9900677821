package enginetest

import (
	"testing"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

var specs = map[string]func(*testing.T, *bench){
	"the environment is as given": func(t *testing.T, b *bench) {
		s := b.spec("app", "check", "env", "GREETING", "good = morning")
		s.Env = []string{"OTHER=x", "GREETING=good = morning"}
		b.passes(t, s)
		b.passes(t, b.spec("other", "check", "noenv", "GREETING"))
	},
	"the working directory is as given": func(t *testing.T, b *bench) {
		s := b.spec("app", "check", "dir", "/tmp")
		s.Dir = "/tmp"
		b.passes(t, s)
	},
	"the host name is as given": func(t *testing.T, b *bench) {
		s := b.spec("app", "check", "host", "skerry-pod")
		s.Hostname = "skerry-pod"
		b.passes(t, s)
	},
	"the user is as given": func(t *testing.T, b *bench) {
		s := b.spec("app", "check", "uid", "1234")
		uid := int64(1234)
		s.User = &uid
		b.passes(t, s)
	},
	"a read-only root can't be written": func(t *testing.T, b *bench) {
		s := b.spec("app", "check", "readonly", "/file")
		s.ReadOnlyRoot = true
		b.passes(t, s)
	},
	"too much memory is the container's end": func(t *testing.T, b *bench) {
		if !b.Limits {
			t.Skip("memory limits don't work on this machine: the memory cgroup is off")
		}
		s := b.spec("app", "eat", "256")
		s.MemoryBytes = 32 << 20
		b.start(t, s)
		if c := b.in(t, s.ID, engine.Exited); !c.OOMKilled || c.ExitCode != 137 {
			t.Errorf("ended as %+v; want OOMKilled and 137", c)
		}
	},
}

// passes runs a check of the test program and wants it to succeed.
func (b *bench) passes(t *testing.T, s engine.Spec) {
	t.Helper()
	b.start(t, s)
	if c := b.in(t, s.ID, engine.Exited); c.ExitCode != 0 {
		t.Errorf("%v exited with %d", s.Args, c.ExitCode)
	}
}
