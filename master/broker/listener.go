package broker

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/protocol/gate"
)

// listener accepts connections for mochi, within limits.
type listener struct {
	id     string
	accept *gate.Gate
	tls    *tls.Config
	log    zerolog.Logger

	mu     sync.Mutex
	closed bool
	shut   bool // nobody is let in for now
	open   map[*conn]bool
}

func newListener(id string, accept *gate.Gate, secure *tls.Config, log zerolog.Logger) *listener {
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
		c := l.admit(raw.(*gate.Conn))
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

// admit wraps a connection, or returns nil when the broker ends.
func (l *listener) admit(raw *gate.Conn) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.shut {
		return nil
	}
	setUserTimeout(raw.Conn)
	raw.SetDeadline(time.Now().Add(connectTimeout))
	c := &conn{Conn: raw, gate: raw, listener: l}
	if l.tls != nil {
		c.Conn = tls.Server(raw, l.tls)
	}
	l.open[c] = true
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
		c.shut()
	}
}

// letIn says whether connections are taken. When they are not, those that are there end.
func (l *listener) letIn(yes bool) {
	l.mu.Lock()
	l.shut = !yes
	var rest []*conn
	if !yes {
		for c := range l.open {
			rest = append(rest, c)
		}
	}
	l.mu.Unlock()
	for _, c := range rest {
		c.shut()
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

// forget notes the end of a connection. It may be repeated.
func (l *listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}
