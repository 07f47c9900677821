package thousand

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

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
	api     *lab.API
}

// startMaster starts a master with its default heartbeats and time-outs, and waits until its API answers.
func startMaster(t *testing.T, program, dir, etcd string, args ...string) *master {
	t.Helper()
	m := &master{t: t, dir: dir, metrics: lab.FreeAddress(), log: dir + ".log", done: make(chan struct{})}
	log, err := os.Create(m.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	m.cmd = exec.Command(program, append([]string{"--data-dir", dir, "--api-listen", lab.FreeAddress(), "--mqtt-listen", lab.FreeAddress(),
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
		api, err := lab.OpenAPI(dir, nil)
		if err == nil {
			m.api = api.Within(patience)
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
	answer, err := m.api.Do(method, path, body)
	switch {
	case err != nil:
		return err
	case answer.Code >= 300:
		return fmt.Errorf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer.Body, into)
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
