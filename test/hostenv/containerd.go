package hostenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Why says why no private containerd can run here; nil when one can.
func Why() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: a containerd of its own mounts file systems and makes cgroups")
	}
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("needs %s: apt-get install containerd runc", program)
		}
	}
	return nil
}

// Containerd is a containerd that this process started.
type Containerd struct {
	Socket string // what --containerd takes

	dir string
	pid int
	end chan error // what waiting for the process gave
}

// startTimeout is generous: an emulated or busy machine is slow.
const startTimeout = 60 * time.Second

// New prepares a containerd below dir, which is created if needed, and starts it. Its log goes to
// dir/containerd.log.
func New(dir string) (*Containerd, error) {
	if err := Why(); err != nil {
		return nil, err
	}
	c := &Containerd{dir: dir, Socket: filepath.Join(dir, "c.sock")}
	if len(c.Socket) > 100 {
		return nil, fmt.Errorf("directory %s: its path is too long for a socket", dir)
	}
	if err := os.MkdirAll(c.state(), 0o711); err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", c.state(), "tmpfs", 0, "mode=0711"); err != nil {
		return nil, fmt.Errorf("mount a tmpfs on %s: %w", c.state(), err)
	}
	if err := os.WriteFile(c.config(), []byte(c.configuration()), 0o600); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := c.Start(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Containerd) state() string  { return filepath.Join(c.dir, "state") }
func (c *Containerd) root() string   { return filepath.Join(c.dir, "root") }
func (c *Containerd) config() string { return filepath.Join(c.dir, "config.toml") }

func (c *Containerd) configuration() string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt",
]
[grpc]
  address = %q
`, c.root(), c.state(), c.Socket)
}

// Start starts containerd, also after Kill, and returns once it accepts connections.
func (c *Containerd) Start() error {
	log, err := os.OpenFile(filepath.Join(c.dir, "containerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// A socket left behind by a kill would make the wait below succeed too early.
	if err := os.Remove(c.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	cmd := exec.Command("containerd", "--config", c.config())
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own: Ctrl-C at a terminal must reach containerd through Close, after the shims.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error, 1)
	c.end = make(chan error, 1)
	go func() {
		// The death signal comes when this thread ends, so it must live as long as containerd.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.end <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	c.pid = cmd.Process.Pid
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := c.waitForSocket(ctx); err != nil {
		return fmt.Errorf("%w; see %s", err, log.Name())
	}
	return nil
}

func (c *Containerd) waitForSocket(ctx context.Context) error {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-c.end:
			c.pid = 0
			return fmt.Errorf("containerd ended at once: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("containerd does not listen on %s after %s", c.Socket, startTimeout)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// PID is containerd's process id; 0 when it doesn't run.
func (c *Containerd) PID() int { return c.pid }

// Kill ends containerd as a crash would; containers and their shims go on.
func (c *Containerd) Kill() error { return c.signal(syscall.SIGKILL) }

// Stop ends containerd as an upgrade would; containers and their shims go on.
func (c *Containerd) Stop() error { return c.signal(syscall.SIGTERM) }

func (c *Containerd) signal(sig syscall.Signal) error {
	if c.pid == 0 {
		return nil
	}
	if err := syscall.Kill(c.pid, sig); err != nil {
		return fmt.Errorf("signal containerd: %w", err)
	}
	err := <-c.end
	c.pid = 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil // it ended as it was told to
	}
	return err
}

// Shims are the process ids of the shims of this containerd: one a pod whose containers run or wait to be
// collected.
func (c *Containerd) Shims() ([]int, error) {
	return processes(func(args []string) bool {
		return strings.HasPrefix(filepath.Base(args[0]), "containerd-shim") && follows(args, "-address", c.Socket)
	})
}

// Mounts are the mount points below the directory, besides the state's tmpfs: root file systems of
// containers.
func (c *Containerd) Mounts() ([]string, error) {
	all, err := mountsBelow(c.dir)
	if err != nil {
		return nil, err
	}
	var rest []string
	for _, m := range all {
		if m != c.state() {
			rest = append(rest, m)
		}
	}
	return rest, nil
}

// Close ends containerd and every container it ran, and removes the directory.
func (c *Containerd) Close() error {
	tasks := c.tasks()
	errs := []error{c.Stop(), c.endShims()}
	for _, t := range tasks {
		errs = append(errs, t.clear())
	}
	mounts, err := mountsBelow(c.dir)
	errs = append(errs, err)
	// Innermost first.
	for i := len(mounts) - 1; i >= 0; i-- {
		if err := unix.Unmount(mounts[i], unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", mounts[i], err))
		}
	}
	errs = append(errs, os.RemoveAll(c.dir))
	return errors.Join(errs...)
}

// endShims kills the shims and what they ran: a shim's children, which the kernel hands on once it is gone.
func (c *Containerd) endShims() error {
	shims, err := c.Shims()
	if err != nil {
		return err
	}
	for _, shim := range shims {
		for _, child := range children(shim) {
			_ = syscall.Kill(child, syscall.SIGKILL) // gone already: fine
		}
		_ = syscall.Kill(shim, syscall.SIGKILL)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		left, err := c.Shims()
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("shims %v don't end", left)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
