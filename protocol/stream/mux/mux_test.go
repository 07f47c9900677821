package mux

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// pair are two muxes that deliver to each other, until something is put in between.
type pair struct {
	near, far *Mux
	losing    atomic.Bool // frames from far get lost
}

// newPair runs both ends inside the test's bubble of virtual time; serve is what far does with a stream.
func newPair(t *testing.T, serve func(stream.Open, stream.Conn)) *pair {
	t.Helper()
	start := time.Now()
	now := func() clock.Now { return clock.Now{Wall: time.Now(), Boot: time.Since(start)} }
	p := &pair{}
	p.near = New(Config{
		Send:  func(_ string, frame []byte) error { p.far.Deliver("near", frame); return nil },
		Clock: now, Rand: rand.New(rand.NewSource(1)), MaxStreams: 3,
	})
	p.far = New(Config{
		Send: func(_ string, frame []byte) error {
			if !p.losing.Load() {
				p.near.Deliver("far", frame)
			}
			return nil
		},
		Accept: func(_ context.Context, _ string, open stream.Open, conn stream.Conn) { serve(open, conn) },
		Clock:  now, Rand: rand.New(rand.NewSource(2)), MaxStreams: 3,
	})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go p.near.Run(ctx)
	go p.far.Run(ctx)
	synctest.Wait()
	return p
}

func (p *pair) open(t *testing.T) stream.Conn {
	t.Helper()
	conn, err := p.near.Open(context.Background(), "far", stream.Open{Kind: stream.Logs, KeepAlive: 1000, Patience: 5000})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func readAll(conn stream.Conn) ([]byte, error) {
	var all []byte
	for {
		_, data, err := conn.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, data...)
	}
}

// What was written before a clean close arrives whole, far beyond a window.
func TestEverythingArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := make([]byte, 40*stream.Window+7)
		rand.New(rand.NewSource(3)).Read(want)
		p := newPair(t, func(_ stream.Open, conn stream.Conn) {
			if err := conn.Write(stream.Out, want); err != nil {
				t.Error(err)
			}
		})
		got, err := readAll(p.open(t))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, %v; want %d", len(got), err, len(want))
		}
	})
}

// A reader that doesn't read holds its writer back, and no other stream.
func TestSlowReaderStallsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written atomic.Int64
		p := newPair(t, func(open stream.Open, conn stream.Conn) {
			if open.Pod == "quick" {
				conn.Write(stream.Out, []byte("quick"))
				return
			}
			for conn.Write(stream.Out, make([]byte, 1024)) == nil {
				written.Add(1024)
			}
		})
		slow := p.open(t)
		synctest.Wait() // until everybody is blocked
		if n := written.Load(); n != stream.Window {
			t.Errorf("with no reader %d bytes were written, want one window, %d", n, stream.Window)
		}
		quick, err := p.near.Open(context.Background(), "far", stream.Open{Pod: "quick"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(quick); string(got) != "quick" || err != nil {
			t.Errorf("the other stream got %q, %v", got, err)
		}
		slow.Close(stream.End{})
	})
}

// When a frame is lost, the reader gets all before it and then an error; never what came after.
func TestLostFrameEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, nil)
		p.far.config.Accept = func(_ context.Context, _ string, _ stream.Open, conn stream.Conn) {
			conn.Write(stream.Out, []byte("first "))
			p.losing.Store(true)
			conn.Write(stream.Out, []byte("second "))
			p.losing.Store(false)
			conn.Write(stream.Out, []byte("third"))
		}
		got, err := readAll(p.open(t))
		if string(got) != "first " || !errors.Is(err, stream.ErrLost) {
			t.Errorf("got %q, %v; want the first piece and ErrLost", got, err)
		}
	})
}

// A peer that falls silent ends the stream within the patience asked for.
func TestSilentPeerEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		p := newPair(t, func(stream.Open, stream.Conn) { <-hold })
		defer close(hold)
		conn := p.open(t)
		p.losing.Store(true)
		begin := time.Now()
		_, err := readAll(conn)
		if took := time.Since(begin); err == nil || took > 6*time.Second {
			t.Errorf("after %s: %v; want an error within 6 s", took, err)
		}
	})
}

// Streams that only idle stay open: both ends say that they are there.
func TestIdleStreamStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, func(_ stream.Open, conn stream.Conn) {
			time.Sleep(time.Hour) // of virtual time
			conn.Write(stream.Out, []byte("late"))
		})
		if got, err := readAll(p.open(t)); string(got) != "late" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// The words of the other end reach the reader, with their code.
func TestErrorOfTheOtherEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, func(_ stream.Open, conn stream.Conn) {
			conn.Close(stream.End{Error: "no such container", Code: stream.NotFound})
		})
		_, err := readAll(p.open(t))
		var ended *stream.Error
		if !errors.As(err, &ended) || ended.Code != stream.NotFound || ended.Text != "no such container" {
			t.Errorf("got %v", err)
		}
	})
}

// Streams of one peer are limited, on the side that opens and on the side that accepts.
func TestTooManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		p := newPair(t, func(stream.Open, stream.Conn) { <-hold })
		defer close(hold)
		for range 3 {
			p.open(t)
		}
		if _, err := p.near.Open(context.Background(), "far", stream.Open{}); err == nil || !strings.Contains(err.Error(), "3 streams") {
			t.Errorf("a fourth stream: %v", err)
		}
	})
}

// A restarted peer doesn't know the stream; it says so, whatever the numbers were, and the stream ends.
func TestPeerThatForgotTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		p := newPair(t, func(_ stream.Open, conn stream.Conn) {
			conn.Write(stream.Out, []byte("before"))
			<-hold
		})
		defer close(hold)
		conn := p.open(t)
		if _, data, err := conn.Read(); string(data) != "before" || err != nil {
			t.Fatalf("got %q, %v", data, err)
		}
		for _, c := range p.far.all() {
			p.far.remove(c.key)
		}
		if _, err := readAll(conn); err == nil || !strings.Contains(err.Error(), "not known") {
			t.Errorf("got %v", err)
		}
	})
}

// Closing frees a writer that waits for credit.
func TestCloseFreesTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		p := newPair(t, func(_ stream.Open, conn stream.Conn) {
			ended <- conn.Write(stream.Out, make([]byte, 2*stream.Window))
		})
		conn := p.open(t)
		synctest.Wait()
		conn.Close(stream.End{})
		if err := <-ended; err == nil {
			t.Error("the writer was told that all was sent")
		}
	})
}

// Many tiny pieces that nobody reads are kept together: they take about as much memory as they have bytes.
func TestTinyPiecesAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, func(_ stream.Open, conn stream.Conn) {
			for range 10_000 {
				conn.Write(stream.Out, []byte("x"))
			}
		})
		c := p.open(t).(*conn)
		synctest.Wait()
		c.mu.Lock()
		pieces := len(c.queue)
		c.mu.Unlock()
		if pieces != 1 {
			t.Errorf("%d pieces wait to be read, want 1", pieces)
		}
		if got, err := readAll(c); err != nil || len(got) != 10_000 {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
}

// A frame that crosses the end of its stream is no reason to say that the stream was never there.
func TestAFrameThatCrossesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, func(_ stream.Open, conn stream.Conn) { conn.Write(stream.Out, []byte("all")) })
		send := p.far.config.Send
		p.far.config.Send = func(peer string, frame []byte) error {
			if f, err := stream.Decode(frame); err == nil && f.End != nil && f.Number != 0 {
				p.far.Deliver("near", stream.Encode(stream.Frame{Stream: f.Stream, Alive: true}))
			}
			return send(peer, frame)
		}
		if got, err := readAll(p.open(t)); string(got) != "all" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}
