package thousand

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-edge/skerry/test/lab"
)

// master is a skerry-master in a process of its own, and its administrator.
type master struct {
	t       *testing.T
	dir     string
	metrics string // address
	log     string // file
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	client  *http.Client
	base    string // of its API
}

// startMaster starts a master with its default heartbeats and time-outs, and waits until its API answers.
func startMaster(t *testing.T, program, dir, etcd string, args ...string) *master {
	t.Helper()
	m := &master{t: t, dir: dir, metrics: freeAddress(t), log: dir + ".log", done: make(chan struct{})}
	log, err := os.Create(m.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	m.cmd = exec.Command(program, append([]string{"--data-dir", dir, "--api-listen", freeAddress(t), "--mqtt-listen", freeAddress(t),
		"--metrics-listen", m.metrics, "--advertise", "127.0.0.1", "--etcd", etcd}, args...)...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // should the test be killed, nothing stays behind
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { m.cmd.Wait(); close(m.done) }()
	t.Cleanup(m.kill)
	t.Cleanup(m.showLog)
	until(t, "its API answers", func() (bool, string) {
		select {
		case <-m.done:
			t.Fatalf("a master has ended: %s", m.readLog())
		default:
		}
		err := m.connect()
		if err == nil {
			err = m.get("/readyz", nil)
		}
		return err == nil, fmt.Sprint(err)
	})
	return m
}

// kill ends it without a word, at once.
func (m *master) kill() {
	m.cmd.Process.Kill()
	<-m.done
}

func (m *master) readLog() string {
	text, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// showLog prints the end of the log of a test that has failed.
func (m *master) showLog() {
	if text := m.readLog(); m.t.Failed() {
		m.t.Logf("the log of %s ends with:\n%s", filepath.Base(m.dir), text[max(0, len(text)-10_000):])
	}
}

// connect makes the client of an administrator.
func (m *master) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(m.dir, "admin.kubeconfig"))
	if err != nil {
		return err
	}
	if m.client, err = rest.HTTPClientFor(config); err != nil {
		return err
	}
	m.base = strings.TrimSuffix(config.Host, "/")
	return nil
}

// until waits for a condition.
func until(t *testing.T, what string, check func() (ok bool, seen string)) time.Duration {
	t.Helper()
	took, err := lab.Until(what, patience, check)
	if err != nil {
		t.Fatal(err)
	}
	return took
}

// get reads what is at a path into an object, or nowhere.
func (m *master) get(path string, into any) error { return m.call(http.MethodGet, path, nil, into) }

// call asks the API. Any answer but of success is an error.
func (m *master) call(method, path string, body, into any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, method, m.base+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	ask.Header.Set("Content-Type", "application/json")
	answer, err := m.client.Do(ask)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	case into == nil:
		return nil
	}
	return json.Unmarshal(text, into)
}

// must is call for what has to succeed.
func (m *master) must(method, path string, body, into any) {
	m.t.Helper()
	if err := m.call(method, path, body, into); err != nil {
		m.t.Fatal(err)
	}
}

// role is what a master says of itself, and how many masters it knows.
func (m *master) role() (role string, known int) {
	var list struct {
		Items []struct {
			Role string
			Self bool
		}
	}
	if err := m.get("/apis/skerry.dev/v1/masters", &list); err != nil {
		return err.Error(), 0
	}
	for _, each := range list.Items {
		if each.Self {
			role = each.Role
		}
	}
	return role, len(list.Items)
}

// token has a join token made, for any number of nodes or for one master, and returns its file.
func (m *master) token(request map[string]any) string {
	m.t.Helper()
	var made struct{ Token string }
	m.must(http.MethodPost, "/apis/skerry.dev/v1/jointokens", request, &made)
	file := filepath.Join(m.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(made.Token+"\n"), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return "@" + file
}

// metric is the sum of a metric's values whose labels contain a text; those that are not there are zero.
func (m *master) metric(name, labels string) float64 {
	answer, err := http.Get("http://" + m.metrics + "/metrics")
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0
	}
	var sum float64
	for line := range strings.Lines(string(text)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		of, with, _ := strings.Cut(series, "{")
		if n, err := strconv.ParseFloat(value, 64); err == nil && of == name && strings.Contains(with, labels) {
			sum += n
		}
	}
	return sum
}

// freeAddress is one of loopback that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
