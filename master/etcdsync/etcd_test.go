package etcdsync

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/test/lab"
)

// etcd is a real cluster of this test's own, on loopback.
type etcd struct {
	t       *testing.T
	members []*member
}

type member struct {
	args []string
	url  string
	cmd  *exec.Cmd
	done chan struct{}
}

// startEtcd starts a cluster of n members; extra are further arguments of each.
func startEtcd(t *testing.T, n int, extra ...string) *etcd {
	t.Helper()
	e := prepareEtcd(t, n, extra...)
	for _, m := range e.members {
		e.start(m)
	}
	e.client() // it answers
	return e
}

// useTLS changes the URLs for clients.
func (m *member) useTLS() {
	plain := m.url
	m.url = strings.Replace(plain, "http://", "https://", 1)
	for i, arg := range m.args {
		if arg == plain {
			m.args[i] = m.url
		}
	}
}

// prepareEtcd starts nothing yet.
func prepareEtcd(t *testing.T, n int, extra ...string) *etcd {
	t.Helper()
	program, err := lab.EtcdProgram()
	if err != nil {
		t.Skip("NOT TESTED: several masters, for there is no etcd here: apt-get install etcd-server")
	}
	e := &etcd{t: t}
	var cluster []string
	for i := range n {
		peer, client := "http://"+lab.FreeAddress(), "http://"+lab.FreeAddress()
		name := fmt.Sprintf("m%d", i)
		cluster = append(cluster, name+"="+peer)
		e.members = append(e.members, &member{url: client, args: append([]string{program,
			"--name", name, "--data-dir", filepath.Join(t.TempDir(), name), "--unsafe-no-fsync", "--log-level", "error",
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--listen-client-urls", client, "--advertise-client-urls", client}, extra...)})
	}
	for _, m := range e.members {
		m.args = append(m.args, "--initial-cluster", strings.Join(cluster, ","))
	}
	t.Cleanup(func() {
		for _, m := range e.members {
			e.kill(m)
		}
	})
	return e
}

func (e *etcd) start(m *member) {
	e.t.Helper()
	m.cmd = exec.Command(m.args[0], m.args[1:]...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.cmd.Stderr = io.Discard
	if err := m.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	m.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) { cmd.Wait(); close(done) }(m.cmd, m.done)
}

func (e *etcd) kill(m *member) {
	if m.cmd != nil {
		m.cmd.Process.Kill()
		<-m.done
		m.cmd = nil
	}
}

func (e *etcd) urls() (out []string) {
	for _, m := range e.members {
		out = append(out, m.url)
	}
	return out
}

// client is one of the test's own, of an etcd that answers.
func (e *etcd) client() *clientv3.Client {
	e.t.Helper()
	c, err := newClient(Server{Endpoints: e.urls()})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	eventually(e.t, "etcd answers", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := c.Get(ctx, "x")
		return err
	})
	return c
}

// dump is all that lies below a prefix, by key.
func (e *etcd) dump(prefix string) map[string][]byte {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := e.client().Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		e.t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, kv := range answer.Kvs {
		out[string(kv.Key)] = kv.Value
	}
	return out
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not after 40 s: %v", what, err)
}

// uplink is a master's line to etcd, which a test cuts: what is under way is lost, and nothing comes back.
type uplink struct{ *lab.Uplink }

func newUplink(t *testing.T, to string) uplink {
	t.Helper()
	u, err := lab.NewUplink(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return uplink{u}
}

func (u uplink) url() string { return u.URL() }

// set cuts the line, or mends it: then the connections of before are gone.
func (u uplink) set(cut bool) {
	if cut {
		u.Cut()
	} else {
		u.Heal()
	}
}
