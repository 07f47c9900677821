package mux

import (
	"io"
	"sync"
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// conn is a stream.Conn.
type conn struct {
	mux *Mux
	key key

	sending sync.Mutex // held by Write and Close, so that data frames leave in their order

	mu      sync.Mutex // guards all below
	changed sync.Cond
	machine *stream.Machine
	queue   []piece // received, not read yet; at most a window
	unread  int     // bytes of the piece that Read returned last, consumed with the next Read
	ended   *stream.End
	err     error // why the stream broke, when it did
	done    chan struct{}
}

type piece struct {
	channel byte
	data    []byte
}

func newConn(m *Mux, k key, machine *stream.Machine) *conn {
	c := &conn{mux: m, key: k, machine: machine, done: make(chan struct{})}
	c.changed.L = &c.mu
	return c
}

// Read implements stream.Conn.
func (c *conn) Read() (byte, []byte, error) {
	c.mu.Lock()
	credit, due := c.machine.Consumed(c.unread, c.mux.config.Clock())
	c.unread = 0
	if due {
		c.mu.Unlock()
		if err := c.send(credit); err != nil {
			c.fail(err)
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	for len(c.queue) == 0 && c.ended == nil && c.err == nil {
		c.changed.Wait()
	}
	if c.err != nil && len(c.queue) == 0 {
		return 0, nil, c.err
	}
	if len(c.queue) == 0 {
		if err := c.ended.Err(); err != nil {
			return 0, nil, err
		}
		return 0, nil, io.EOF
	}
	next := c.queue[0]
	c.queue = c.queue[1:]
	c.unread = len(next.data)
	return next.channel, next.data, nil
}

// Write implements stream.Conn.
func (c *conn) Write(channel byte, data []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	for len(data) > 0 {
		f, n, err := c.next(channel, data)
		if err != nil {
			return err
		}
		if err := c.send(f); err != nil {
			c.fail(err)
			return err
		}
		data = data[n:]
	}
	return nil
}

// next waits for credit and makes the next data frame.
func (c *conn) next(channel byte, data []byte) (stream.Frame, int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.ended == nil && c.machine.Room() == 0 {
		c.changed.Wait()
	}
	switch {
	case c.err != nil:
		return stream.Frame{}, 0, c.err
	case c.ended != nil && c.ended.Err() != nil:
		return stream.Frame{}, 0, c.ended.Err()
	case c.ended != nil:
		return stream.Frame{}, 0, io.ErrClosedPipe
	}
	f, n := c.machine.Send(channel, data, c.mux.config.Clock())
	return f, n, nil
}

// CloseWrite implements stream.Conn.
func (c *conn) CloseWrite(channel byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.mu.Lock()
	f, goesOn := c.machine.CloseWrite(channel, c.mux.config.Clock())
	c.mu.Unlock()
	if !goesOn {
		return io.ErrClosedPipe
	}
	if err := c.send(f); err != nil {
		c.fail(err)
		return err
	}
	return nil
}

// Done implements stream.Conn.
func (c *conn) Done() <-chan struct{} { return c.done }

// Close implements stream.Conn.
func (c *conn) Close(end stream.End) {
	c.interrupt(io.ErrClosedPipe) // frees a Write that waits for credit, and with it the order of frames
	c.sending.Lock()
	defer c.sending.Unlock()
	c.finish(end)
}

// interrupt makes a stream that goes on fail with err for its users, without ending it yet.
func (c *conn) interrupt(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.ended == nil {
		c.err = err
		close(c.done)
	}
	c.changed.Broadcast()
}

// fail ends a stream that can't go on, and tells the other end, if it can still be told.
func (c *conn) fail(err error) {
	c.interrupt(err)
	c.finish(stream.End{Error: err.Error()})
}

func (c *conn) finish(end stream.End) {
	c.mu.Lock()
	if c.machine.Over() {
		c.mu.Unlock()
		c.mux.remove(c.key)
		return
	}
	f := c.machine.Finish(end, c.mux.config.Clock())
	c.mu.Unlock()
	// The end first: were the stream forgotten before, a frame that arrives now would be answered with a refusal
	// that overtakes the end.
	_ = c.mux.config.Send(c.key.peer, stream.Encode(f)) // if it is lost, the other end's patience ends it
	c.mux.remove(c.key)
}

// receive takes in a frame; it does not block.
func (c *conn) receive(f stream.Frame, now clock.Now) {
	c.mu.Lock()
	data, ended, err := c.machine.Receive(f, now)
	if data != nil {
		c.enqueue(f.Channel, data)
	}
	if ended != nil && c.ended == nil {
		c.ended = ended
		if c.err == nil {
			close(c.done)
		}
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	switch {
	case err != nil:
		c.fail(err)
	case ended != nil:
		c.mux.remove(c.key)
	}
}

// enqueue keeps a piece for Read. Small pieces of a channel are joined, so that what they take stays near what
// they are given credit for; a resize is a message, and stays one.
func (c *conn) enqueue(channel byte, data []byte) {
	if last := len(c.queue) - 1; last >= 0 && channel != stream.Resize && len(data) > 0 {
		if p := &c.queue[last]; p.channel == channel && len(p.data) > 0 && len(p.data)+len(data) <= stream.MaxData {
			p.data = append(p.data, data...)
			return
		}
	}
	c.queue = append(c.queue, piece{channel, data})
}

// tick watches the time; it returns when to be called again.
func (c *conn) tick(now clock.Now) clock.Now {
	c.mu.Lock()
	f, send, next, err := c.machine.Tick(now)
	c.mu.Unlock()
	if err != nil {
		c.fail(err)
		return clock.Never
	}
	if send {
		_ = c.mux.config.Send(c.key.peer, stream.Encode(f)) // the next one will do
	}
	return next
}

// send enqueues a frame that must not get lost; while the bus has no room it tries again, for as long as the
// other end would wait for it.
func (c *conn) send(f stream.Frame) error {
	const pause, most = 20 * time.Millisecond, 5 * time.Second
	encoded := stream.Encode(f)
	for waited := time.Duration(0); ; waited += pause {
		err := c.mux.config.Send(c.key.peer, encoded)
		if !isFull(err) || waited >= most {
			return err
		}
		time.Sleep(pause)
	}
}
