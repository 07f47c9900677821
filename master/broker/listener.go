package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// listener accepts connections for mochi, within limits.
type listener struct {
	id     string
	accept net.Listener
	tls    *tls.Config
	log    zerolog.Logger

	mu      sync.Mutex
	closed  bool
	open    map[*conn]bool
	unknown int // of open, those that have not authenticated
}

func newListener(id string, accept net.Listener, secure *tls.Config, log zerolog.Logger) *listener {
	return &listener{id: id, accept: accept, tls: secure, log: log, open: map[*conn]bool{}}
}

// ID implements listeners.Listener.
func (l *listener) ID() string { return l.id }

// Address implements listeners.Listener.
func (l *listener) Address() string { return l.accept.Addr().String() }

// Protocol implements listeners.Listener.
func (l *listener) Protocol() string { return l.accept.Addr().Network() }

// Init implements listeners.Listener.
func (l *listener) Init(*slog.Logger) error { return nil }

// Serve implements listeners.Listener: it accepts until Close.
func (l *listener) Serve(establish listeners.EstablishFn) {
	for {
		raw, err := l.accept.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, most likely
			l.log.Warn().Err(err).Msg("the broker can't accept a connection")
			time.Sleep(100 * time.Millisecond)
			continue
		}
		c := l.admit(raw)
		if c == nil {
			raw.Close()
			continue
		}
		go func() {
			establish(l.id, c) // its error has been logged, or is the end of a connection
			c.Close()
		}()
	}
}

// admit wraps a connection, or returns nil when there are too many that nobody knows.
func (l *listener) admit(raw net.Conn) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.unknown >= maxUnknown {
		return nil
	}
	setUserTimeout(raw)
	raw.SetDeadline(time.Now().Add(connectTimeout))
	c := &conn{Conn: raw, listener: l}
	if l.tls != nil {
		c.Conn = tls.Server(raw, l.tls)
	}
	l.open[c] = true
	l.unknown++
	return c
}

// Close implements listeners.Listener.
func (l *listener) Close(closeClients listeners.CloseFn) {
	l.accept.Close()
	closeClients(l.id)
	l.mu.Lock()
	l.closed = true
	var rest []*conn
	for c := range l.open {
		rest = append(rest, c)
	}
	l.mu.Unlock()
	for _, c := range rest {
		c.Close()
	}
}

// setUserTimeout makes the kernel end a connection whose peer has vanished while there is data for it.
func setUserTimeout(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(writeTimeout.Milliseconds()))
		})
	}
}

// conn is a client's connection. Until it is welcome, it has connectTimeout to say a CONNECT of at most
// maxConnect bytes. Each write has a deadline of its own, which mochi doesn't set.
type conn struct {
	net.Conn
	listener *listener
	once     sync.Once // of Close
	header   []byte    // of the first packet: what the reader has yet to get
	checked  bool

	known bool // guarded by the listener's mutex
}

// welcome says that the client has authenticated.
func (c *conn) welcome() {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if !c.known && c.listener.open[c] {
		c.known = true
		c.listener.unknown--
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		c.listener.mu.Lock()
		delete(c.listener.open, c)
		if !c.known {
			c.listener.unknown--
		}
		c.listener.mu.Unlock()
		err = c.Conn.Close()
	})
	return err
}

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
				return errors.New("the first packet is no CONNECT")
			}
			continue
		}
		length |= int(b[0]&0x7f) << (7 * (at - 1))
		if b[0]&0x80 == 0 {
			break
		}
	}
	if length > maxConnect {
		return syscall.EMSGSIZE
	}
	return nil
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// pipeListener accepts connections from inside the process.
type pipeListener struct {
	ends chan net.Conn
	done chan struct{}
	once sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{ends: make(chan net.Conn), done: make(chan struct{})}
}

func (p *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.ends <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case end := <-p.ends:
		return end, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipeListener) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr implements net.Listener.
func (p *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

// Network implements net.Addr.
func (pipeAddr) Network() string { return "pipe" }

func (pipeAddr) String() string { return "this process" }
