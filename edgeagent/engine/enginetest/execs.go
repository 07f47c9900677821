package enginetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// program is where the test program lies in its image.
const program = "/probe"

var execs = map[string]func(*testing.T, *bench){
	"an executed process prints and exits": func(t *testing.T, b *bench) {
		s := b.running(t)
		var out bytes.Buffer
		if code := b.exec(t, s.ID, engine.Exec{Command: []string{program, "print", "one", "two"}, Stdout: &out}); code != 0 || out.String() != "one\ntwo\n" {
			t.Errorf("printed %q and exited with %d", out.String(), code)
		}
	},
	"an executed process's exit code is returned": func(t *testing.T, b *bench) {
		s := b.running(t)
		for _, word := range []string{"3", "255"} {
			if code := b.exec(t, s.ID, engine.Exec{Command: []string{program, "exit", word}}); code != map[string]int{"3": 3, "255": 255}[word] {
				t.Errorf("exit %s returned %d", word, code)
			}
		}
	},
	"all of stdin arrives, and its end": func(t *testing.T, b *bench) {
		s := b.running(t)
		const size = 3 << 20
		want, got := sha256.New(), sha256.New()
		in := io.TeeReader(io.LimitReader(rand.New(rand.NewSource(1)), size), want)
		code := b.exec(t, s.ID, engine.Exec{Command: []string{program, "cat"}, Stdin: in, Stdout: got})
		if code != 0 || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
			t.Errorf("exited with %d, and what came back differs", code)
		}
	},
	"a terminal has the size that it was given last": func(t *testing.T, b *bench) {
		s := b.running(t)
		sizes := make(chan engine.Size, 2)
		sizes <- engine.Size{Width: 80, Height: 24}
		sizes <- engine.Size{Width: 133, Height: 47}
		if code := b.exec(t, s.ID, engine.Exec{Command: []string{program, "size", "133x47"}, TTY: true, Resize: sizes}); code != 0 {
			t.Errorf("exited with %d", code)
		}
	},
	"a command that is not there can't be executed": func(t *testing.T, b *bench) {
		s := b.running(t)
		if _, err := b.Engine.Exec(ctx(t), s.ID, engine.Exec{Command: []string{"/no/such/command"}}); !errors.Is(err, engine.ErrStart) {
			t.Errorf("Exec = %v; want ErrStart", err)
		}
	},
	"nothing is executed where nothing runs": func(t *testing.T, b *bench) {
		s := b.start(t, b.spec("app", "exit", "0"))
		b.in(t, s.ID, engine.Exited)
		for _, id := range []string{s.ID, b.uid + "-nobody-0"} {
			if _, err := b.Engine.Exec(ctx(t), id, engine.Exec{Command: []string{program, "exit", "0"}}); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("Exec in %s = %v; want ErrNotFound", id, err)
			}
		}
	},
	"an executed process ends with its caller's interest": func(t *testing.T, b *bench) {
		s := b.running(t)
		for _, command := range [][]string{{program, "sleep"}, {program, "ignore"}} {
			c, cancel := context.WithCancel(ctx(t))
			time.AfterFunc(50*time.Millisecond, cancel)
			if _, err := b.Engine.Exec(c, s.ID, engine.Exec{Command: command}); !errors.Is(err, context.Canceled) {
				t.Errorf("%v: Exec = %v; want the context's error", command, err)
			}
		}
		b.in(t, s.ID, engine.Running)
	},
	"an executed process ends with its container": func(t *testing.T, b *bench) {
		s := b.running(t)
		stopped := make(chan struct{})
		time.AfterFunc(50*time.Millisecond, func() { defer close(stopped); b.stop(t, s.ID, 0) })
		if code, err := b.Engine.Exec(ctx(t), s.ID, engine.Exec{Command: []string{program, "sleep"}}); err == nil && code != 137 {
			t.Errorf("Exec = %d, %v; want 137 or an error", code, err)
		}
		<-stopped
		b.in(t, s.ID, engine.Exited)
	},
}

func (b *bench) running(t *testing.T) engine.Spec {
	t.Helper()
	s := b.start(t, b.spec("app", "sleep"))
	b.in(t, s.ID, engine.Running)
	return s
}

// exec executes what must be possible to execute.
func (b *bench) exec(t *testing.T, id string, x engine.Exec) int {
	t.Helper()
	code, err := b.Engine.Exec(ctx(t), id, x)
	if err != nil {
		t.Fatalf("Exec(%v): %v", x.Command, err)
	}
	return code
}
