package mux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// Config of a Mux. All fields are needed, but for Accept.
type Config struct {
	// Send enqueues an encoded frame for a peer; it does not block, and returns bus.ErrFull when there is
	// no room at the moment.
	Send func(peer string, frame []byte) error
	// Accept serves a stream that a peer opened, in a goroutine of its own, and closes it. ctx ends with
	// the Mux. Nil refuses every stream.
	Accept func(ctx context.Context, peer string, open stream.Open, conn stream.Conn)
	Clock  clock.Source
	Rand   io.Reader // for the numbers of streams
	// MaxStreams is how many streams a peer may have open at once.
	MaxStreams int
}

// Mux keeps the open streams.
type Mux struct {
	config Config

	mu      sync.Mutex
	streams map[key]*conn
	perPeer map[string]int
	ctx     context.Context // of Run; nil before
	accepts sync.WaitGroup
	changed chan struct{} // a stream came; one slot
}

type key struct {
	peer string
	id   uint64
}

// New returns a Mux; its Run must run for streams to time out and to be accepted.
func New(config Config) *Mux {
	return &Mux{config: config, streams: map[key]*conn{}, perPeer: map[string]int{}, changed: make(chan struct{}, 1)}
}

// Run watches the time of all streams until ctx ends; then it ends them and waits for those that serve them.
func (m *Mux) Run(ctx context.Context) error {
	m.mu.Lock()
	m.ctx = ctx
	m.mu.Unlock()
	for {
		next := m.step()
		timer := time.NewTimer(max(next.Since(m.config.Clock()), 0)) // Never is three centuries ahead
		select {
		case <-ctx.Done():
			timer.Stop()
			m.closeAll(stream.End{Error: "the stream ended because the process that serves it stops"})
			m.accepts.Wait()
			return nil
		case <-timer.C:
		case <-m.changed:
			timer.Stop()
		}
	}
}

func (m *Mux) step() (next clock.Now) {
	next = clock.Never
	for _, c := range m.all() {
		next = clock.Earliest(next, c.tick(m.config.Clock()))
	}
	return next
}

func (m *Mux) all() []*conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	conns := make([]*conn, 0, len(m.streams))
	for _, c := range m.streams {
		conns = append(conns, c)
	}
	return conns
}

// Open opens a stream to a peer; the end of ctx closes it. It returns at once: a refusal is the first thing
// that Read returns. The error of a peer that can't be reached, or has too many streams, is a *stream.Error.
func (m *Mux) Open(ctx context.Context, peer string, open stream.Open) (stream.Conn, error) {
	var random [8]byte
	if _, err := io.ReadFull(m.config.Rand, random[:]); err != nil {
		return nil, fmt.Errorf("number a stream: %w", err)
	}
	id := binary.BigEndian.Uint64(random[:]) | 1 // 0 is no stream
	c, err := m.add(key{peer, id}, open)
	if err != nil {
		return nil, err
	}
	if err := c.send(stream.Frame{Stream: id, Open: &open}); err != nil {
		c.fail(err)
		return nil, &stream.Error{Text: fmt.Sprintf("open a stream to %s: %v", peer, err)}
	}
	context.AfterFunc(ctx, func() { c.Close(stream.End{}) })
	return c, nil
}

// Deliver takes in a frame that arrived from a peer. It doesn't block. What is malformed or belongs to no
// stream is answered with an end, if it can be.
func (m *Mux) Deliver(peer string, frame []byte) {
	f, err := stream.Decode(frame)
	if err != nil {
		return // whose it was can't be known; its stream will miss it
	}
	if f.Open != nil {
		m.accept(peer, f)
		return
	}
	m.mu.Lock()
	c := m.streams[key{peer, f.Stream}]
	m.mu.Unlock()
	switch {
	case c != nil:
		c.receive(f, m.config.Clock())
	case f.End == nil:
		m.refuse(peer, f.Stream, stream.End{Error: "the stream is not known here any more", Code: stream.NotFound})
	}
}

func (m *Mux) accept(peer string, f stream.Frame) {
	m.mu.Lock()
	ctx, known := m.ctx, m.streams[key{peer, f.Stream}] != nil
	m.mu.Unlock()
	if known {
		return // the open was repeated
	}
	if m.config.Accept == nil || ctx == nil || ctx.Err() != nil {
		m.refuse(peer, f.Stream, stream.End{Error: "no streams are served here"})
		return
	}
	c, err := m.add(key{peer, f.Stream}, *f.Open)
	if err != nil {
		m.refuse(peer, f.Stream, stream.End{Error: err.Error(), Code: stream.Busy})
		return
	}
	m.accepts.Go(func() {
		m.config.Accept(ctx, peer, *f.Open, c)
		c.Close(stream.End{})
	})
}

// refuse ends a stream that this side doesn't have. A refusal that gets lost is made up for by the patience
// of the other end.
func (m *Mux) refuse(peer string, id uint64, end stream.End) {
	_ = m.config.Send(peer, stream.Encode(stream.Frame{Stream: id, End: &end}))
}

func (m *Mux) add(k key, open stream.Open) (*conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.perPeer[k.peer] >= m.config.MaxStreams {
		return nil, &stream.Error{Code: stream.Busy, Text: fmt.Sprintf("%s has %d streams open, which is the most; close one first", k.peer, m.config.MaxStreams)}
	}
	c := newConn(m, k, stream.NewMachine(k.id, open, m.config.Clock()))
	m.streams[k] = c
	m.perPeer[k.peer]++
	select {
	case m.changed <- struct{}{}:
	default:
	}
	return c, nil
}

func (m *Mux) remove(k key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, open := m.streams[k]; !open {
		return
	}
	delete(m.streams, k)
	if m.perPeer[k.peer]--; m.perPeer[k.peer] == 0 {
		delete(m.perPeer, k.peer)
	}
}

// Gone ends every stream of a peer that is known to be away, with the reason.
func (m *Mux) Gone(peer, why string) {
	for _, c := range m.all() {
		if c.key.peer == peer {
			c.fail(errors.New(why))
		}
	}
}

func (m *Mux) closeAll(end stream.End) {
	for _, c := range m.all() {
		c.Close(end)
	}
}

// isFull reports whether a frame found no room and may be sent a little later.
func isFull(err error) bool { return errors.Is(err, bus.ErrFull) }
