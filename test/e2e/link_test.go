package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/test/lab"
)

// link is a TCP proxy that is as slow as a bad radio link: what comes waits for its turn, so much a second in each
// direction, and arrives so much later.
type link struct {
	address string
	delay   time.Duration
	rate    int // bytes a second
	bytes   atomic.Int64
}

// newLink listens on a host for the broker of another one. It ends with the test.
func newLink(t *testing.T, at, broker *lab.Host, delay time.Duration, rate int) *link {
	t.Helper()
	l := &link{address: at.Address + ":1883", delay: delay, rate: rate}
	listener, err := at.Listen("tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return // closed
			}
			far, err := at.Dial(t.Context(), "tcp", broker.Address+":1883")
			if err != nil {
				near.Close()
				continue
			}
			end := sync.OnceFunc(func() { near.Close(); far.Close() })
			all.Go(func() { defer end(); l.carry(near, far) })
			all.Go(func() { defer end(); l.carry(far, near) })
			t.Cleanup(end)
		}
	})
	t.Cleanup(func() { listener.Close() })
	return l
}

func (l *link) carried() int64 { return l.bytes.Load() }

// carry takes bytes from one end to the other. What has been read is on its way while the next is read.
func (l *link) carry(from, to net.Conn) {
	type piece struct {
		data    []byte
		arrives time.Time
	}
	way := make(chan piece, 64)
	defer close(way)
	go func() {
		failed := false
		for p := range way {
			time.Sleep(time.Until(p.arrives)) // this is what the link does
			if !failed {
				_, err := to.Write(p.data)
				failed = err != nil
			}
		}
	}()
	free := time.Now() // when the link has sent what was given to it
	for {
		data := make([]byte, 512)
		n, err := from.Read(data)
		if err != nil {
			return
		}
		l.bytes.Add(int64(n))
		free = later(free, time.Now()).Add(time.Duration(n) * time.Second / time.Duration(l.rate))
		time.Sleep(time.Until(free))
		way <- piece{data[:n], free.Add(l.delay)}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// mosquitto is a broker of its own host, without accounts or persistence.
type mosquitto struct {
	*lab.Host
	*lab.Process
	f      *fleet
	config string
}

// startMosquitto starts one; it goes on with the lab.
func (f *fleet) startMosquitto() *mosquitto {
	f.Helper()
	m := &mosquitto{Host: f.host("broker"), f: f, config: filepath.Join(f.lab.Dir, "mosquitto.conf")}
	if err := os.WriteFile(m.config, []byte("listener 1883 0.0.0.0\nallow_anonymous true\npersistence false\n"), 0o644); err != nil {
		f.Fatal(err)
	}
	m.start()
	return m
}

// start starts it again.
func (m *mosquitto) start() {
	m.f.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto"
	}
	if m.Process, err = m.f.lab.Start("mosquitto", m.Host, program, "-c", m.config); err != nil {
		m.f.Fatal(err)
	}
}
