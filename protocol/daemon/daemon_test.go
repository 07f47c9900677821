package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// serve starts the health listener of a daemon on a free port and returns a way to ask it.
func serve(t *testing.T, d *Daemon) func(path string) (int, string) {
	t.Helper()
	d.Registry = NewRegistry("skerry-test")
	address, stop, err := d.serveHealth("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return func(path string) (int, string) {
		response, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
}

// /readyz names what is missing; /healthz fails only when a loop hangs.
func TestHealthListener(t *testing.T) {
	t.Parallel()
	d := &Daemon{Health: &Health{}}
	var broker error
	d.Health.Check("store", func() error { return nil })
	d.Health.Check("broker", func() error { return broker })
	get := serve(t, d)

	if code, body := get("/readyz"); code != 200 || body != "ok store\nok broker\n" {
		t.Errorf("all is well: /readyz says %d %q", code, body)
	}
	broker = errors.New("wrong password; join again")
	if code, body := get("/readyz"); code != 503 || body != "ok store\nnot ready broker: wrong password; join again\n" {
		t.Errorf("no broker: /readyz says %d %q", code, body)
	}
	if code, body := get("/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("no broker: /healthz says %d %q", code, body)
	}
	if code, body := get("/metrics"); code != 200 || !strings.Contains(body, `skerry_build_info{program="skerry-test",version="dev"} 1`) ||
		!strings.Contains(body, "process_resident_memory_bytes") {
		t.Errorf("/metrics says %d %q", code, body)
	}
	if code, _ := get("/debug/pprof/"); code != 404 {
		t.Errorf("/debug/pprof/ answers %d", code)
	}

	d.Health.Loop("reconcile").Started(Clock().Add(-time.Hour), func() {})
	if code, body := get("/healthz"); code != 503 || !strings.HasPrefix(body, "reconcile has not stepped for 1h0m") {
		t.Errorf("a hung loop: /healthz says %d %q", code, body)
	}
}

func TestALoopThatReadsItsClockIsAlive(t *testing.T) {
	t.Parallel()
	var h Health
	now := clock.Now{Boot: time.Hour}
	loop := h.Loop("reconcile")
	read := loop.Clock(func() clock.Now { return now })
	if err := h.Alive(now.Add(time.Hour)); err != nil {
		t.Errorf("before it was started: %v", err)
	}
	loop.Started(now, func() {})
	now = now.Add(hang)
	if err := h.Alive(now); err != nil {
		t.Errorf("after exactly its limit: %v", err)
	}
	now = now.Add(time.Second)
	if err := h.Alive(now); err == nil || err.Error() != "reconcile has not stepped for 2m1s" {
		t.Errorf("a second later: %v", err)
	}
	if read() != now {
		t.Error("the loop's clock differs from the source")
	}
	if err := h.Alive(now); err != nil {
		t.Errorf("after a step: %v", err)
	}
}

// Loops that wait for something to happen are woken, so that a hung one can be told from an idle one.
func TestLoopsAreWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Health
		woken := 0
		h.Loop("idle").Started(clock.Now{}, func() { woken++ })
		h.Loop("not started")
		done := make(chan struct{})
		go h.pulse(done)
		time.Sleep(3*pulse + time.Second)
		close(done)
		synctest.Wait()
		if woken != 3 {
			t.Errorf("woken %d times in three pulses", woken)
		}
	})
}

func TestPortInUseIsOneLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	var out, errs bytes.Buffer
	code := testCommand(&settings{}, func(context.Context, *Daemon) error {
		t.Error("the program ran")
		return nil
	}).Main([]string{"--metrics-listen", address}, &out, &errs)
	want := "error: --metrics-listen " + address + ": the port is in use; stop the process that has it, or choose another address\n"
	if code != 1 || errs.String() != want {
		t.Errorf("exit code %d, stderr %q, want 1, %q", code, &errs, want)
	}
}

func TestTheDataDirectoryIsMade(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := MakeDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory: %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := "--data-dir " + file + "/x: not a directory; choose another directory"
	if err := MakeDir(filepath.Join(file, "x")); err == nil || err.Error() != want {
		t.Errorf("below a file: %v, want %s", err, want)
	}
}

func TestWriteFileReplacesInOneStep(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	for _, text := range []string{"first", "2"} {
		if err := WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("read %q, %v; want %q", got, err, text)
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if err := WriteFile(filepath.Join(path, "x"), nil, 0o600); err == nil {
		t.Error("writing below a file succeeded")
	}
}

// systemd hears READY, the watchdog while loops step, and STOPPING.
func TestSystemdIsTold(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", "")
	next := func() string {
		buf := make([]byte, 100)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	ready := make(chan struct{})
	var out, errs bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- testCommand(&settings{}, func(_ context.Context, d *Daemon) error {
			d.Ready()
			<-ready
			return nil
		}).Main([]string{"--metrics-listen", ""}, &out, &errs)
	}()
	if got := next(); got != "READY=1" {
		t.Errorf("first: %q", got)
	}
	if got := next(); got != "WATCHDOG=1" {
		t.Errorf("then: %q", got)
	}
	close(ready)
	for got := next(); got != "STOPPING=1"; got = next() {
		if got != "WATCHDOG=1" {
			t.Errorf("at the end: %q", got)
		}
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}

func TestTheClockAdvances(t *testing.T) {
	t.Parallel()
	first := Clock()
	second := Clock()
	if first.Boot <= 0 || second.Boot < first.Boot || first.Wall.IsZero() {
		t.Errorf("read %+v, then %+v", first, second)
	}
}

// Each line of the log is a JSON object with a time.
func TestLogLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLogger(&out)
	log.Debug().Msg("not shown")
	log.Info().Str("node", "pi-1").Msg("node connected")
	var line struct {
		Level, Node, Message string
		Time                 time.Time
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q: %v", &out, err)
	}
	if line.Level != "info" || line.Node != "pi-1" || line.Message != "node connected" || line.Time.IsZero() {
		t.Errorf("logged %s", &out)
	}
}

// A note is in the report, and makes nothing less ready; a loop that has ended can't hang.
func TestNotesAndEndedLoops(t *testing.T) {
	var h Health
	h.Note("etcd", func() string { return "away" })
	if report, err := h.Ready(); err != nil || report != "note etcd: away\n" {
		t.Errorf("the report is %q, %v", report, err)
	}
	loop := h.Loop("the link")
	loop.Started(Clock().Add(-time.Hour), func() {})
	if err := h.Alive(Clock()); err == nil {
		t.Error("a loop that hangs is alive")
	}
	loop.Ended()
	if err := h.Alive(Clock()); err != nil {
		t.Errorf("a loop that has ended: %v", err)
	}
}
