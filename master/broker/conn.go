package broker

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/skerry-edge/skerry/protocol/gate"
)

// conn is a client's connection. Until it is welcome, it has connectTimeout to say a CONNECT of at most
// maxConnect bytes.
//
// Write never blocks: it appends to a bounded buffer that a goroutine drains while there is something in it.
// mochi writes while it holds the client's lock, and takes that lock when it publishes to the client, so that one
// node that doesn't read would otherwise hold up whoever publishes to it, which is the master.
type conn struct {
	net.Conn
	gate     *gate.Conn
	listener *listener
	header   []byte // of the first packet: what the reader has yet to get
	checked  bool

	mu       sync.Mutex
	waiting  []byte // to be written
	draining bool   // the goroutine runs; when closing, it closes the connection
	closing  bool
	failed   error
}

// Errors that end a connection.
var (
	errFirst = errors.New("the first packet is no CONNECT, or too large")
	errSlow  = errors.New("the client is too slow")
)

// welcome says that the client has authenticated.
func (c *conn) welcome() { c.gate.Welcome() }

// SetDeadline implements net.Conn. mochi calls it to say how long a client may be silent.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if !c.checked {
		if err := c.checkConnect(); err != nil {
			return 0, err
		}
		c.checked = true
	}
	if len(c.header) > 0 {
		n := copy(p, c.header)
		c.header = c.header[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// checkConnect reads the fixed header of the first packet: MQTT 3.1.1 sections 2.2 and 3.1.
func (c *conn) checkConnect() error {
	length := 0
	for len(c.header) < 5 {
		var b [1]byte
		if _, err := c.Conn.Read(b[:]); err != nil {
			return err
		}
		c.header = append(c.header, b[0])
		at := len(c.header) - 1
		if at == 0 {
			if b[0] != 1<<4 {
				return errFirst
			}
			continue
		}
		length |= int(b[0]&0x7f) << (7 * (at - 1))
		if b[0]&0x80 == 0 {
			break
		}
	}
	if length > maxConnect {
		return errFirst
	}
	return nil
}

// Write implements net.Conn. It takes all of p or fails for good.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failed != nil:
		return 0, c.failed
	case c.closing:
		return 0, net.ErrClosed
	case len(c.waiting)+len(p) > backlog:
		c.failed, c.waiting = errSlow, nil
		go c.shut()
		return 0, errSlow
	}
	c.waiting = append(c.waiting, p...)
	if !c.draining {
		c.draining = true
		go c.drain()
	}
	return len(p), nil
}

// drain writes until nothing waits.
func (c *conn) drain() {
	for {
		c.mu.Lock()
		chunk, closing := c.waiting, c.closing
		c.waiting = nil
		if len(chunk) == 0 {
			c.draining = false
			c.mu.Unlock()
			if closing {
				c.shut()
			}
			return
		}
		c.mu.Unlock()
		if err := c.writeOut(chunk); err != nil {
			c.mu.Lock()
			c.failed, c.waiting, c.draining = err, nil, false
			c.mu.Unlock()
			c.shut()
			return
		}
	}
}

// writeOut writes with a deadline by progress: a desired state takes long on a thin link.
func (c *conn) writeOut(p []byte) error {
	for len(p) > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		n, err := c.Conn.Write(p[:min(len(p), 16<<10)])
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// Close implements net.Conn: reading ends at once, what waits to be written still goes out.
func (c *conn) Close() error {
	c.mu.Lock()
	again, draining := c.closing, c.draining
	c.closing = true
	c.mu.Unlock()
	if again {
		return net.ErrClosed
	}
	if !draining {
		return c.shut()
	}
	return c.SetReadDeadline(time.Unix(1, 0))
}

// shut closes the connection itself.
func (c *conn) shut() error {
	c.listener.forget(c)
	return c.Conn.Close()
}
