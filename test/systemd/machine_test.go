package systemd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/test/lab"
)

// patience is how long a condition may take on a busy machine. It is no expectation of speed.
const patience = 90 * time.Second

// why says why no machine can be booted here; nil when one can.
func why() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: a machine of its own is made of namespaces and mounts")
	}
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		return errors.New("there is no /lib/systemd/systemd: apt-get install systemd")
	}
	for _, program := range []string{"unshare", "nsenter", "ip", "systemctl", "pivot_root", "containerd", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("there is no %s", program)
		}
	}
	return nil
}

// machine is one that was booted.
type machine struct {
	*testing.T
	pid int // of its process 1, as the host sees it
}

// boot starts a machine, which ends with the test.
func boot(t *testing.T, source, bin string) *machine {
	t.Helper()
	group := fmt.Sprintf("skerry-boot-%d", os.Getpid())
	dir, err := os.MkdirTemp("", "boot-")
	if err != nil {
		t.Fatal(err)
	}
	console := filepath.Join(t.TempDir(), "console")
	log, err := os.Create(console)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	script, err := filepath.Abs("boot.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, group, dir, source, bin)
	cmd.Stdout, cmd.Stderr = log, log
	// Should the test itself be killed, the machine ends with it. The death signal comes with the end of this thread.
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &machine{T: t}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(console)
			t.Logf("--- console\n%s", text)
		}
		if m.pid != 0 {
			_ = syscall.Kill(m.pid, syscall.SIGKILL)
		} else {
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait() // killed, or why it could not boot is on the console
		if err := lab.RemoveGroups(group, 20*time.Second); err != nil {
			t.Error(err)
		}
		if err := os.Remove(dir); err != nil { // what was in it was in memory
			t.Error(err)
		}
	})
	m.until("systemd is process 1", func() (bool, string) {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		if err != nil {
			return false, err.Error()
		}
		for _, child := range strings.Fields(string(children)) {
			name, _ := os.ReadFile("/proc/" + child + "/comm")
			if strings.TrimSpace(string(name)) == "systemd" {
				m.pid, err = strconv.Atoi(child)
				return err == nil, child
			}
		}
		text, _ := os.ReadFile(console)
		return false, string(text)
	})
	m.until("systemd has started everything", func() (bool, string) {
		state, err := m.try("", "systemctl", "is-system-running")
		state = strings.TrimSpace(state)
		return state == "running", fmt.Sprint(state, " ", err)
	})
	return m
}

// command is a program in the machine that has not been started.
func (m *machine) command(args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(m.pid), "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root", "--wd", "--", "env", "-i",
		"HOME=/root", "LANG=C.UTF-8", "KUBECONFIG=/var/lib/skerry/master/admin.kubeconfig",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return exec.Command("nsenter", append(enter, args...)...)
}

// try runs a program in the machine and returns what it prints; the error has what it printed to standard error.
func (m *machine) try(input string, args ...string) (string, error) {
	cmd := m.command(args...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// run is try that must go through, without white space around what is printed.
func (m *machine) run(args ...string) string {
	m.Helper()
	return m.input("", args...)
}

func (m *machine) input(input string, args ...string) string {
	m.Helper()
	out, err := m.try(input, args...)
	if err != nil {
		m.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(out)
}

// property is what systemd says of a unit.
func (m *machine) property(unit, name string) string {
	m.Helper()
	return m.run("systemctl", "show", "--value", "--property="+name, unit)
}

// write writes a file of the machine.
func (m *machine) write(path, text string) {
	m.Helper()
	m.input(text, "sh", "-c", `mkdir -p "$(dirname "$0")" && cat >"$0"`, path)
}

// journal is what a unit has said.
func (m *machine) journal(unit string) string {
	m.Helper()
	return m.run("journalctl", "--no-pager", "--output=cat", "--unit="+unit)
}

func (m *machine) until(what string, check func() (ok bool, seen string)) {
	m.Helper()
	if _, err := lab.Until(what, patience, check); err != nil {
		m.Fatal(err)
	}
}

// untilPrints waits until a program prints exactly this.
func (m *machine) untilPrints(want string, args ...string) {
	m.Helper()
	m.until(fmt.Sprintf("%s prints %q", strings.Join(args, " "), want), func() (bool, string) {
		out, err := m.try("", args...)
		return strings.TrimSpace(out) == want, fmt.Sprint(out, err)
	})
}
