package gate

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// door is a listener to which tests bring connections, one call of accept each.
type door struct{ next net.Conn }

func (d *door) Accept() (net.Conn, error) {
	if d.next == nil {
		return nil, net.ErrClosed
	}
	c := d.next
	d.next = nil
	return c, nil
}
func (*door) Close() error   { return nil }
func (*door) Addr() net.Addr { return &net.TCPAddr{} }

// visitor is a connection from an address.
type visitor struct {
	net.Conn
	from   string
	closed int
}

func (v *visitor) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(v.from), Port: 4711} }
func (v *visitor) Close() error         { v.closed++; return nil }

// street is a gate and who came to it.
type street struct {
	t    *testing.T
	door *door
	gate *Gate
	now  clock.Now
}

func newStreet(t *testing.T, open, unknown, from int) *street {
	s := &street{t: t, door: &door{}}
	s.gate = New(Config{Listener: s.door, MaxOpen: open, MaxUnknown: unknown, MaxUnknownFrom: from,
		Grace: time.Second, Clock: func() clock.Now { return s.now }})
	return s
}

// come brings a visitor; c is nil when there is no place.
func (s *street) come(from string) (v *visitor, c *Conn) {
	s.t.Helper()
	s.now = s.now.Add(time.Second)
	return s.comeAtOnce(from)
}

func (s *street) comeAtOnce(from string) (v *visitor, c *Conn) {
	s.t.Helper()
	v = &visitor{from: from}
	s.door.next = v
	accepted, err := s.gate.Accept()
	if err != nil {
		return v, nil
	}
	return v, accepted.(*Conn)
}

func (s *street) counts(open, unknown int) {
	s.t.Helper()
	if o, u := s.gate.Counts(); o != open || u != unknown {
		s.t.Errorf("%d are open, %d of them unknown; want %d and %d", o, u, open, unknown)
	}
}

// Whoever opens many connections and says nothing pushes out their own oldest; a client from elsewhere stays, and so does
// one from the same address once it is known.
func TestStrangersPushOutTheirOwn(t *testing.T) {
	t.Parallel()
	s := newStreet(t, 100, 10, 4)
	elsewhere, _ := s.come("192.0.2.1")
	friend, c := s.come("203.0.113.9")
	c.Welcome()
	c.Welcome()
	var first *visitor
	for i := range 300 {
		v, c := s.come("203.0.113.9")
		if c == nil {
			t.Fatalf("connection %d was refused", i)
		}
		if i == 0 {
			first = v
		}
	}
	if elsewhere.closed > 0 || friend.closed > 0 || first.closed != 1 {
		t.Errorf("closed: a client elsewhere %d, the known one %d, the first stranger %d", elsewhere.closed, friend.closed, first.closed)
	}
	s.counts(6, 5)
	if s.gate.Pushed() != 296 || s.gate.Refused() != 0 {
		t.Errorf("%d pushed out, %d refused", s.gate.Pushed(), s.gate.Refused())
	}
}

// Strangers from everywhere push out the oldest of all; a new client always comes in.
func TestStrangersFromEverywhere(t *testing.T) {
	t.Parallel()
	s := newStreet(t, 100, 10, 4)
	for i := range 300 {
		s.come(fmt.Sprintf("198.51.%d.%d", i/200, i%200))
	}
	v, c := s.come("192.0.2.1")
	if c == nil || v.closed > 0 {
		t.Fatal("the client was kept out")
	}
	s.counts(10, 10)
}

// Nodes behind one address that all come back at once get in by turns: the first are left time to say who they are.
func TestAStampede(t *testing.T) {
	t.Parallel()
	s := newStreet(t, 100, 10, 4)
	in := 0
	for range 5 {
		s.now = s.now.Add(time.Second)
		var came []*Conn
		for range 20 - in {
			if _, c := s.comeAtOnce("203.0.113.9"); c != nil {
				came = append(came, c)
			}
		}
		if len(came) != 4 {
			t.Fatalf("%d were let in at once", len(came))
		}
		for _, c := range came {
			c.Welcome()
		}
		in += len(came)
	}
	s.counts(20, 0)
	if s.gate.Pushed() > 0 {
		t.Errorf("%d were pushed out", s.gate.Pushed())
	}
}

// Known connections are never pushed out: who comes when they fill the house waits outside, until one goes; and strangers
// make room for whoever comes.
func TestFull(t *testing.T) {
	t.Parallel()
	s := newStreet(t, 3, 3, 3)
	var friends []*Conn
	for range 2 {
		_, c := s.come("192.0.2.1")
		c.Welcome()
		friends = append(friends, c)
	}
	stranger, _ := s.come("192.0.2.2")
	_, third := s.come("192.0.2.3")
	if third == nil || stranger.closed != 1 {
		t.Fatal("a stranger was kept instead of a newer client")
	}
	third.Welcome()
	if v, c := s.come("192.0.2.4"); c != nil || v.closed != 1 {
		t.Error("one too many was let in")
	}
	s.counts(3, 0)
	if s.gate.Refused() != 1 {
		t.Errorf("%d refused", s.gate.Refused())
	}
	friends[0].Close()
	friends[0].Close()
	s.counts(2, 0)
	if _, c := s.come("192.0.2.4"); c == nil {
		t.Error("a free place was not given")
	}
	s.counts(3, 1)
}

// A connection that was pushed out counts no more, whatever its owner does with it.
func TestPushedOutCountsOnce(t *testing.T) {
	t.Parallel()
	s := newStreet(t, 10, 10, 1)
	_, old := s.come("192.0.2.1")
	_, next := s.come("192.0.2.1")
	old.Welcome()
	old.Close()
	s.counts(1, 1)
	next.Close()
	s.counts(0, 0)
	if len(s.gate.from) != 0 {
		t.Errorf("it remembers %d places", len(s.gate.from))
	}
}

// All addresses that one customer of a provider has are one place.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:0:0:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
	} {
		a, b := place((&visitor{from: c.a}).RemoteAddr()), place((&visitor{from: c.b}).RemoteAddr())
		if (a == b) != c.same || !a.IsValid() {
			t.Errorf("%s and %s: %v and %v", c.a, c.b, a, b)
		}
	}
	if place(&net.UnixAddr{}).IsValid() {
		t.Error("a socket has a place")
	}
}
