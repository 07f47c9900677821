package session_test

import (
	"context"
	"errors"
	"io"
	"math/rand"
	"net"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
	"github.com/skerry-edge/skerry/edgeagent/session"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/stream"
	"github.com/skerry-edge/skerry/protocol/stream/mux"
)

// served opens a stream to a node with one running container, "a" of the pod "uid"; over is closed once the node
// has done with the stream.
func served(t *testing.T, open stream.Open, dial session.Dial) (conn stream.Conn, over <-chan struct{}) {
	t.Helper()
	began := time.Now()
	now := func() clock.Now { return clock.Now{Wall: time.Now(), Boot: time.Since(began)} }
	e := fake.New(fake.Config{Now: now, Images: map[string]fake.Image{"i": {Present: true}}})
	if err := e.Start(t.Context(), engine.Spec{ID: "uid-a-0", Image: "i", Labels: map[string]string{
		engine.LabelPodUID: "uid", engine.LabelContainer: "a"}}); err != nil {
		t.Fatal(err)
	}
	var near, far *mux.Mux
	done := make(chan struct{})
	near = mux.New(mux.Config{Send: func(_ string, f []byte) error { far.Deliver("near", f); return nil },
		Clock: now, Rand: rand.New(rand.NewSource(1)), MaxStreams: 3})
	far = mux.New(mux.Config{Send: func(_ string, f []byte) error { near.Deliver("far", f); return nil },
		Accept: func(ctx context.Context, _ string, open stream.Open, conn stream.Conn) {
			if open.Kind == "knock" {
				return
			}
			defer close(done)
			if open.Kind == stream.Exec {
				session.Exec(ctx, e, open, conn)
			} else {
				session.Forward(ctx, e, dial, open, conn)
			}
		}, Clock: now, Rand: rand.New(rand.NewSource(2)), MaxStreams: 3})
	for _, m := range []*mux.Mux{near, far} {
		go m.Run(t.Context())
	}
	// Until far runs, it refuses.
	for running := false; !running; {
		conn, err := near.Open(t.Context(), "far", stream.Open{Kind: "knock"})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = conn.Read()
		running = errors.Is(err, io.EOF)
	}
	conn, err := near.Open(t.Context(), "far", open)
	if err != nil {
		t.Fatal(err)
	}
	return conn, done
}

func exec(command ...string) stream.Open {
	return stream.Open{Kind: stream.Exec, UID: "uid", Container: "a",
		Exec: &stream.ExecOptions{Command: command, Stdin: true, Stdout: true, Stderr: true}}
}

// read returns all of stdout, and how the stream ended.
func read(conn stream.Conn) (string, error) {
	var all []byte
	for {
		channel, data, err := conn.Read()
		if errors.Is(err, io.EOF) {
			return string(all), nil
		}
		if err != nil {
			return string(all), err
		}
		if channel == stream.Out {
			all = append(all, data...)
		}
	}
}

// The end of stdin reaches the command, and all that it printed the user.
func TestExecCopies(t *testing.T) {
	conn, _ := served(t, exec("cat"), nil)
	want := string(make([]byte, 5*stream.Window))
	go func() {
		conn.Write(stream.In, []byte(want))
		conn.CloseWrite(stream.In)
	}()
	if got, err := read(conn); got != want || err != nil {
		t.Errorf("%d bytes came back, %v; want %d", len(got), err, len(want))
	}
}

// How a command ended is told in the words and with the code that the master passes on.
func TestExecEnds(t *testing.T) {
	other := exec("ls")
	other.Container = "b"
	for _, test := range []struct {
		open stream.Open
		want stream.Error
	}{
		{exec("exit", "3"), stream.Error{Code: stream.Exited, Text: "command terminated with exit code 3", Exit: 3}},
		{exec(), stream.Error{Code: stream.BadRequest, Text: "you must specify at least one command for the container"}},
		{other, stream.Error{Code: stream.NotFound, Text: `container not found ("b")`}},
	} {
		conn, _ := served(t, test.open, nil)
		_, err := read(conn)
		var ended *stream.Error
		if !errors.As(err, &ended) || *ended != test.want {
			t.Errorf("%v ended with %#v; want %#v", test.open.Exec.Command, err, test.want)
		}
	}
}

// A command ends with the interest of its user.
func TestExecEndsWhenTheUserLeaves(t *testing.T) {
	conn, over := served(t, exec("sleep"), nil)
	conn.Close(stream.End{})
	<-over
}

// Both halves of a forwarded connection end on their own.
func TestForward(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		all, _ := io.ReadAll(c) // until the user sends no more
		c.Write(append([]byte("got "), all...))
	}()
	dial := func(_ context.Context, _ int, port uint16) (net.Conn, error) {
		if port != 80 {
			return nil, errors.New("connection refused")
		}
		return net.Dial("tcp", listener.Addr().String())
	}
	conn, _ := served(t, stream.Open{Kind: stream.PortForward, UID: "uid", Port: 80}, dial)
	conn.Write(stream.In, []byte("this"))
	conn.CloseWrite(stream.In)
	if got, err := read(conn); got != "got this" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	refused, _ := served(t, stream.Open{Kind: stream.PortForward, UID: "uid", Port: 81}, dial)
	if _, err := read(refused); err == nil || err.Error() != "failed to connect to localhost:81 inside the pod: connection refused" {
		t.Errorf("a port that nobody listens on: %v", err)
	}
}
