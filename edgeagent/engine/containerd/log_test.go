package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// readLog returns the lines of a log without their times.
func readLog(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var lines []string
	for l := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimRight(l, "\r\n"), " ")
		lines = append(lines, rest)
	}
	return lines
}

// What a container writes is in the file of its attempt, streams apart, complete once it has ended; on a
// terminal there is one stream.
func TestLogs(t *testing.T) {
	f := newFixture(t).imported(t)
	dir := filepath.Join(t.TempDir(), "pod", "app")
	s := f.probe("logs", "app", "lines", "6")
	s.Labels[engine.LabelAttempt] = "3"
	s.LogDir, s.LogMaxBytes, s.LogMaxFiles = dir, 1<<20, 2
	f.start(t, s)
	f.in(t, s.ID, engine.Exited)
	eventually(t, func() error {
		want := map[string]bool{}
		for i := 1; i <= 6; i++ {
			stream := "stdout"
			if i%3 == 0 {
				stream = "stderr"
			}
			want[fmt.Sprintf("%s F line %d", stream, i)] = true
		}
		got := readLog(t, filepath.Join(dir, "3.log"))
		for _, line := range got {
			if !want[line] {
				return fmt.Errorf("the log has %q", line)
			}
			delete(want, line)
		}
		if len(want) > 0 {
			return fmt.Errorf("the log has %q, not %v", got, want)
		}
		return nil
	})

	tty := f.probe("logs", "tty", "print", "hello")
	tty.TTY, tty.LogDir = true, dir
	f.start(t, tty)
	f.in(t, tty.ID, engine.Exited)
	eventually(t, func() error {
		got := readLog(t, filepath.Join(dir, "0.log"))
		if len(got) != 1 || strings.TrimSuffix(got[0], "\r") != "stdout F hello" {
			return fmt.Errorf("the log has %q", got)
		}
		return nil
	})
}

// Neither the agent nor containerd has to be there for a log to be written.
func TestLogsGoOnWithoutContainerd(t *testing.T) {
	f := newFixture(t).imported(t)
	dir := t.TempDir()
	s := f.probe("lonely", "app", "lines", "0", "10ms")
	s.LogDir, s.LogMaxBytes, s.LogMaxFiles = dir, 1<<20, 2
	f.start(t, s)
	log := filepath.Join(dir, "0.log")
	eventually(t, func() error {
		if len(readLog(t, log)) == 0 {
			return fmt.Errorf("no log yet")
		}
		return nil
	})
	if err := f.containerd.Kill(); err != nil {
		t.Fatal(err)
	}
	before := len(readLog(t, log))
	eventually(t, func() error {
		if n := len(readLog(t, log)); n < before+5 {
			return fmt.Errorf("%d lines, %d before containerd was killed", n, before)
		}
		return nil
	})
	if err := f.containerd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		_, err := f.Engine.List(t.Context())
		return err
	})
	pid := f.in(t, s.ID, engine.Running).PID
	if err := syscall.Kill(pid, 0); err != nil {
		t.Error(err)
	}
}
