package mqtt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/skerry-edge/skerry/protocol/bus"
)

// Limits of what a broker may send. A topic of ours has less than 200 bytes.
const (
	maxTopic  = 512
	maxPacket = bus.MaxPayload + 2 + maxTopic + 2
)

// Types of MQTT packets, in the upper half of the first byte.
const (
	typePublish = 3
	typeSuback  = 9
)

// guardedConn keeps what paho reads small and well-formed enough. A PUBLISH that is too large arrives without
// its payload, so that it is acknowledged like any other but costs no memory; whatever else is too large ends the
// connection. It also gives each write a deadline by progress, because a desired state takes long on a thin link.
type guardedConn struct {
	net.Conn
	r         *bufio.Reader
	oversized func()

	head  []byte // header bytes that the reader has yet to get
	pass  int    // bytes of the packet that follow them
	skip  int    // bytes to throw away after that
	first [5 + 2 + maxTopic + 2]byte
}

func newGuardedConn(conn net.Conn, oversized func()) *guardedConn {
	return &guardedConn{Conn: conn, r: bufio.NewReaderSize(conn, 2048), oversized: oversized}
}

// errClosed stands for net.ErrClosed, which paho takes for its own doing and does not report.
var errClosed = errors.New("the connection was closed")

// Read implements net.Conn.
func (c *guardedConn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if errors.Is(err, net.ErrClosed) {
		err = errClosed
	}
	return n, err
}

func (c *guardedConn) read(p []byte) (int, error) {
	if len(c.head) == 0 && c.pass == 0 {
		if err := c.nextPacket(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.r.Read(p[:min(len(p), c.pass)])
	c.pass -= n
	return n, err
}

// nextPacket reads the fixed header of a packet and decides what becomes of it.
func (c *guardedConn) nextPacket() error {
	if _, err := c.r.Discard(c.skip); err != nil {
		return err
	}
	c.skip = 0
	kind, err := c.r.ReadByte()
	if err != nil {
		return err
	}
	length, err := readLength(c.r)
	if err != nil {
		return err
	}
	switch {
	case kind>>4 == typeSuback && length != 3:
		// paho trusts the number of return codes.
		return fmt.Errorf("the broker's SUBACK has %d bytes, not 3", length)
	case length <= maxPacket:
		c.head = appendHeader(c.first[:0], kind, length)
		c.pass = length
		return nil
	case kind>>4 != typePublish:
		return fmt.Errorf("the broker sent a packet of type %d with %d bytes", kind>>4, length)
	}
	c.oversized()
	topicLength, err := c.r.Peek(2)
	if err != nil {
		return err
	}
	keep := 2 + int(binary.BigEndian.Uint16(topicLength))
	if kind>>1&3 > 0 {
		keep += 2 // packet identifier
	}
	if keep > 2+maxTopic+2 {
		return fmt.Errorf("the broker sent a topic with %d bytes", keep-2)
	}
	c.head = appendHeader(c.first[:0], kind, keep)
	start := len(c.head)
	c.head = c.head[:start+keep]
	for got := 0; got < keep; {
		n, err := c.r.Read(c.head[start+got:])
		if err != nil {
			return err
		}
		got += n
	}
	c.skip = length - keep
	return nil
}

// readLength reads a "remaining length": up to four bytes of seven bits, MQTT 3.1.1 section 2.2.3.
func readLength(r *bufio.Reader) (int, error) {
	length := 0
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		length |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			return length, nil
		}
	}
	return 0, errors.New("the broker sent a malformed packet length")
}

func appendHeader(to []byte, kind byte, length int) []byte {
	to = append(to, kind)
	for length >= 0x80 {
		to = append(to, byte(length)|0x80)
		length >>= 7
	}
	return append(to, byte(length))
}

// writeChunk is how much must get through within stallTimeout: a TLS record.
const writeChunk = 16 << 10

// Write implements net.Conn.
func (c *guardedConn) Write(p []byte) (int, error) {
	written := 0
	for {
		chunk := p[written:min(len(p), written+writeChunk)]
		if err := c.Conn.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(chunk)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}
