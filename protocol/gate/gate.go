package gate

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// Config says how many connections are let in.
type Config struct {
	Listener net.Listener
	// MaxOpen bounds all connections; who comes later is let in only in place of a stranger.
	MaxOpen int
	// MaxUnknown bounds those whose clients are not known yet, MaxUnknownFrom those of them from one place: an IPv4
	// address, or the /64 of an IPv6 address, for whoever has one of these has all of it.
	MaxUnknown, MaxUnknownFrom int
	// Grace is how long a stranger is left alone to say who it is: many that come at once, as nodes behind one address
	// do after an outage, must not push each other out for ever. While all are newer, who comes is refused.
	Grace time.Duration
	Clock clock.Source
}

// Gate is a net.Listener whose connections are *Conn.
type Gate struct {
	config Config

	mu      sync.Mutex
	open    int
	unknown list.List                   // of *Conn, the oldest first
	from    map[netip.Prefix]*list.List // the same by place
	pushed  atomic.Uint64
	refused atomic.Uint64
}

// New is a gate before a listener.
func New(config Config) *Gate {
	return &Gate{config: config, from: map[netip.Prefix]*list.List{}}
}

// Conn is a connection that a Gate has let in.
type Conn struct {
	net.Conn
	gate  *Gate
	place netip.Prefix
	since clock.Now

	// Guarded by the gate's mutex.
	closed      bool
	all, placed *list.Element // nil: the client is known
}

// Accept implements net.Listener.
func (g *Gate) Accept() (net.Conn, error) {
	for {
		raw, err := g.config.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c, instead := g.admit(raw)
		if instead != nil {
			g.pushed.Add(1)
			instead.Conn.Close()
		}
		if c != nil {
			return c, nil
		}
		g.refused.Add(1)
		raw.Close()
	}
}

// Close implements net.Listener. Connections stay.
func (g *Gate) Close() error { return g.config.Listener.Close() }

// Addr implements net.Listener.
func (g *Gate) Addr() net.Addr { return g.config.Listener.Addr() }

// Pushed is how many strangers were pushed out, Refused how many connections found no place.
func (g *Gate) Pushed() uint64  { return g.pushed.Load() }
func (g *Gate) Refused() uint64 { return g.refused.Load() }

// Counts are the open connections, and those of them whose clients are not known.
func (g *Gate) Counts() (open, unknown int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open, g.unknown.Len()
}

// admit gives a connection its place, which may be that of another one; nil: there is none.
func (g *Gate) admit(raw net.Conn) (c, instead *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.config.Clock()
	c = &Conn{Conn: raw, gate: g, place: place(raw.RemoteAddr()), since: now}
	same := g.from[c.place]
	switch {
	case same != nil && same.Len() >= g.config.MaxUnknownFrom:
		instead = same.Front().Value.(*Conn)
	case g.unknown.Len() > 0 && (g.unknown.Len() >= g.config.MaxUnknown || g.open >= g.config.MaxOpen):
		instead = g.unknown.Front().Value.(*Conn)
	case g.open >= g.config.MaxOpen:
		return nil, nil
	}
	if instead != nil && now.Since(instead.since) < g.config.Grace {
		return nil, nil
	}
	if instead != nil {
		g.forget(instead)
	}
	if same = g.from[c.place]; same == nil {
		same = list.New()
		g.from[c.place] = same
	}
	c.all, c.placed = g.unknown.PushBack(c), same.PushBack(c)
	g.open++
	return c, instead
}

// known takes a connection out of the strangers.
func (g *Gate) known(c *Conn) {
	if c.all == nil {
		return
	}
	g.unknown.Remove(c.all)
	same := g.from[c.place]
	same.Remove(c.placed)
	if same.Len() == 0 {
		delete(g.from, c.place)
	}
	c.all, c.placed = nil, nil
}

func (g *Gate) forget(c *Conn) {
	if !c.closed {
		c.closed = true
		g.open--
		g.known(c)
	}
}

// Welcome says that the client is known. It may be repeated.
func (c *Conn) Welcome() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.gate.known(c)
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.gate.mu.Lock()
	c.gate.forget(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// place is where a connection comes from.
func place(address net.Addr) netip.Prefix {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	bits := 64
	if ip = ip.Unmap(); ip.Is4() {
		bits = 32
	}
	at, _ := ip.WithZone("").Prefix(bits)
	return at
}
