package lab

import (
	"net"
	"strings"
	"sync"
)

// Uplink is a line to a server, which a test cuts: what is under way is lost, and nothing comes back.
type Uplink struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// NewUplink leads to the server of a URL.
func NewUplink(to string) (*Uplink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &Uplink{listener: l, to: strings.TrimPrefix(to, "http://"), conns: map[net.Conn]bool{}}
	go u.serve()
	return u, nil
}

// URL is where the line begins.
func (u *Uplink) URL() string { return "http://" + u.listener.Addr().String() }

// Close ends it.
func (u *Uplink) Close() {
	u.listener.Close()
	u.drop(false)
}

// Cut makes everything vanish that is sent.
func (u *Uplink) Cut() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cut = true
}

// Heal mends it; the connections of before are gone.
func (u *Uplink) Heal() { u.drop(false) }

func (u *Uplink) drop(cut bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cut = cut
	for c := range u.conns {
		c.Close()
	}
	clear(u.conns)
}

func (u *Uplink) serve() {
	for {
		near, err := u.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer near.Close()
			far, err := net.Dial("tcp", u.to)
			if err != nil {
				return
			}
			defer far.Close()
			u.mu.Lock()
			u.conns[near], u.conns[far] = true, true
			u.mu.Unlock()
			go func() { u.copy(far, near); far.Close() }()
			u.copy(near, far)
		}()
	}
}

func (u *Uplink) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		u.mu.Lock()
		cut := u.cut
		u.mu.Unlock()
		if cut {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
