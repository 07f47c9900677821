package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is one program of the lab, running in a host's network namespace. Its output is in a log file.
type Process struct {
	Name    string
	LogFile string

	cmd  *exec.Cmd
	done chan struct{} // closed once the process has been waited for
	err  error         // of Wait, valid after done
}

// Start runs a program in the network namespace of host, or, when host is nil, in the machine's own. Only the
// network is the host's: mounts must be seen by containerd too.
func (l *Lab) Start(name string, host *Host, program string, args ...string) (*Process, error) {
	if host != nil {
		args = append([]string{"--net=/run/netns/" + host.namespace, program}, args...)
		program = "nsenter"
	}
	logFile := filepath.Join(l.Dir, "log", name+".log")
	if err := os.MkdirAll(filepath.Dir(logFile), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &Process{Name: name, LogFile: logFile, done: make(chan struct{})}
	p.cmd = exec.Command(program, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(os.Environ(), "GOTRACEBACK=all")
	// Should the lab itself be killed, nothing that it started may stay behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := l.startPinned(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	l.processes = append(l.processes, p)
	return p, nil
}

// PID is the process id: nsenter becomes the program.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running reports whether the process lives.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal; a process that has ended is no error.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.Name, err)
	}
	return nil
}

// Freeze stops the process without ending it, and Thaw lets it go on.
func (p *Process) Freeze() error { return p.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw() error { return p.Signal(syscall.SIGCONT) }

// Kill ends the process as a crash would, and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	return p.Wait(10 * time.Second)
}

// Stop ends the process as systemd would, with SIGTERM, and returns its exit code.
func (p *Process) Stop() (int, error) {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	if err := p.Wait(20 * time.Second); err != nil {
		return 0, err
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// Wait returns once the process has ended, with whatever code.
func (p *Process) Wait(limit time.Duration) error {
	select {
	case <-p.done:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%s (pid %d) has not ended within %s", p.Name, p.PID(), limit)
	}
}

// ExitCode is the exit code of a process that has ended; -1 after a signal.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Log is everything that the process has printed.
func (p *Process) Log() string {
	data, err := os.ReadFile(p.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Memory is the resident and the anonymous memory of the process, in bytes.
func (p *Process) Memory() (resident, anonymous int64, err error) { return Memory(p.PID()) }

// Memory is the resident and the anonymous memory of any process, in bytes.
func Memory(pid int) (resident, anonymous int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for _, line := range strings.Split(string(status), "\n") {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			resident = kib << 10
		}
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kib); n == 1 {
			anonymous = kib << 10
		}
	}
	return resident, anonymous, nil
}
