package e2e

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// doctor runs skerry-agent doctor and returns its lines, standard error and exit code.
func doctor(t *testing.T, args ...string) (lines []string, complaint string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "skerry-agent"), append([]string{"doctor"}, args...)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(stdout.String()), "\n"), stderr.String(), cmd.ProcessState.ExitCode()
}

// A machine that runs pods passes, beside an agent that isn't disturbed; without containerd it fails, says what to
// do, and the exit code tells.
func TestDoctor(t *testing.T) {
	f := newFleet(t, 1)
	node := f.node(f.run("patient", "sleep"))
	before := f.started("patient")

	lines, complaint, code := doctor(t, "--data-dir", node.DataDir, "--containerd", containerd.Socket)
	if code != 0 || complaint != "" {
		t.Errorf("exit code %d, %s%s", code, complaint, strings.Join(lines, "\n"))
	}
	if line := named(lines, "containerd"); !strings.HasPrefix(line, "OK ") || !strings.Contains(line, "version ") {
		t.Errorf("of containerd it says %q", line)
	}

	lines, complaint, code = doctor(t, "--data-dir", node.DataDir, "--containerd", filepath.Join(t.TempDir(), "none.sock"))
	if line := named(lines, "containerd"); code != 1 || !strings.HasPrefix(line, "FAIL ") || !strings.Contains(line, "apt-get install containerd") {
		t.Errorf("without containerd: exit code %d, %q", code, line)
	}
	if want := "error: this machine can't be a node yet: 1 of "; !strings.HasPrefix(complaint, want) || strings.Count(complaint, "\n") != 1 {
		t.Errorf("without containerd it says %q, want %q", complaint, want)
	}

	// The agent beside goes on working, and nothing was touched.
	f.run("next", "sleep")
	if after := f.started("patient"); after != before {
		t.Errorf("the container was %s and is %s", before, after)
	}
}

// named is the line about one thing.
func named(lines []string, name string) string {
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == name {
			return line
		}
	}
	return ""
}
