package e2e

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/test/lab"
)

// manager is systemd as a service sees it: a socket that takes what the service says of itself.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	said []string
}

// newManager makes the programs that are started next take it for their systemd, with a watchdog.
func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "1500000")
	return &manager{t: t, conn: conn}
}

// until waits until the service has said something that often.
func (m *manager) until(state string, times int) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for m.count(state) < times {
		n, err := m.conn.Read(buffer)
		if err != nil {
			m.t.Fatalf("%s was not said %d times but only %q: %v", state, times, m.said, err)
		}
		m.said = append(m.said, strings.Split(string(buffer[:n]), "\n")...)
	}
}

func (m *manager) count(state string) int {
	n := 0
	for _, s := range m.said {
		if s == state {
			n++
		}
	}
	return n
}

// Both daemons tell systemd that they are ready, pet the watchdog while they work, and say when they stop.
func TestDaemonsTellSystemd(t *testing.T) {
	f := &fleet{T: t, lab: newLab(t)}
	of := map[string]*manager{"master": newManager(t)}
	f.startMaster(quick...)
	of["agent"] = newManager(t)
	f.addNode()
	f.waitReady(1)
	for name, p := range map[string]*lab.Process{"agent": f.nodes[0].Process, "master": f.master.Process} {
		of[name].until("READY=1", 1)
		of[name].until("WATCHDOG=1", 3)
		if code, err := p.Stop(); err != nil || code != 0 {
			t.Errorf("the %s ended with code %d: %v", name, code, err)
		}
		of[name].until("STOPPING=1", 1)
	}
}
