package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/test/lab"
)

const cgroups = "/sys/fs/cgroup"

// limit is how long a condition may take on a busy machine. It is no expectation of speed.
const limit = 30 * time.Second

// layout is a way to mount cgroups, which one guard sees.
type layout struct {
	name    string
	prepare string   // what makes a mount namespace of its own look so; empty: as this machine is
	hidden  string   // what the guard doesn't see mounted, as mountinfo has it; empty: nothing is hidden
	places  []string // directories of the hierarchies that processes are put into
	freezer bool
}

// layouts are those that can be had here: a machine with version 1, and 2 beside it, can be made to look like any; one
// with version 2 alone is what it is.
func layouts() []layout {
	if exists(cgroups + "/cgroup.procs") {
		return []layout{{name: "v2", places: []string{cgroups}, freezer: true}}
	}
	v1 := present("memory", "pids")
	freezer, unified := present("freezer"), present("unified")
	all := []layout{{"without a freezer", "umount " + strings.Join(slices.Concat(freezer, unified), " "), cgroups + "/freezer", v1, false}}
	if len(freezer) > 0 {
		all = append(all, layout{"v1", strings.Join(append([]string{"umount"}, unified...), " ") + " || true", " - cgroup2 ", slices.Concat(v1, freezer), true})
	}
	if len(unified) > 0 {
		all = append(all,
			layout{"as mounted", "", "", slices.Concat(v1, unified, freezer), true},
			layout{"v2", "umount " + cgroups + "/* 2>&1 | grep -v 'not mounted' >&2; mount -t cgroup2 none " + cgroups, " - cgroup ", unified, true})
	}
	return all
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func present(names ...string) (all []string) {
	for _, name := range names {
		if exists(filepath.Join(cgroups, name, "cgroup.procs")) {
			all = append(all, filepath.Join(cgroups, name))
		}
	}
	return all
}

// built is the directory that binary has made.
var built string

// binary is skerry-guard as the Makefile builds it.
var binary = sync.OnceValues(func() (string, error) {
	var err error
	if built, err = os.MkdirTemp("", "skerry-guard-"); err != nil {
		return "", err
	}
	path := filepath.Join(built, "skerry-guard")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -X main.version=v0-test", "-o", path, "./keeper").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// world is one guard and its client.
type world struct {
	*testing.T
	layout
	dir   string
	group string
	// watchdog is a plain file, or none.
	watchdog string
	guard    *exec.Cmd
	*Client
}

// newWorld starts a guard, which ends with the test, as do its groups and all that is in them.
func newWorld(t *testing.T, l layout) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes in cgroups: not in a short run")
	}
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: skerry-guard with real processes needs root: it makes cgroups")
	}
	w := &world{T: t, layout: l, dir: t.TempDir()}
	top := fmt.Sprintf("skerry-guard-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	w.group = "/" + top + "/stop"
	w.Client = New(Config{Socket: w.dir + "/guard.sock", Group: w.group})
	t.Cleanup(func() {
		if w.guard != nil {
			w.kill()
		}
		for _, file := range []string{"freezer.state", "cgroup.freeze"} {
			for _, place := range w.places {
				if path := place + w.group + "/" + file; exists(path) {
					_ = os.WriteFile(path, []byte(map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"}[file]), 0o644)
				}
			}
		}
		for _, pid := range w.left() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err := lab.RemoveGroups(top, limit); err != nil {
			t.Error(err)
		}
	})
	w.start()
	return w
}

// start starts the guard, and waits until it answers.
func (w *world) start() {
	w.Helper()
	w.launch(nil)
	w.until("the guard answers", func() (bool, string) {
		_, err := w.State(w.Context())
		return err == nil, fmt.Sprint(err)
	})
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", w.guard.Process.Pid))
	if err != nil {
		w.Fatal(err)
	}
	if w.hidden != "" && strings.Contains(string(mounts), w.hidden) {
		w.Fatalf("the guard sees %q:\n%s", w.hidden, mounts)
	}
}

// launch starts it with more environment.
func (w *world) launch(change func(*exec.Cmd)) {
	w.Helper()
	path, err := binary()
	if err != nil {
		w.Fatal(err)
	}
	args := []string{path, "--socket", w.dir + "/guard.sock", "--state-dir", w.dir + "/state", "--watchdog", w.watchdog}
	if w.prepare != "" {
		args = append([]string{"unshare", "--mount", "sh", "-c", w.prepare + "\n" + `exec "$0" "$@"`}, args...)
	}
	w.guard = exec.Command(args[0], args[1:]...)
	w.guard.Env = append(os.Environ(), "GOMAXPROCS=1") // as the unit has it
	w.guard.Stderr = os.Stderr
	// Should the test itself be killed, the guard ends too. The death signal comes with the end of this thread.
	runtime.LockOSThread()
	w.guard.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if change != nil {
		change(w.guard)
	}
	if err := w.guard.Start(); err != nil {
		w.Fatal(err)
	}
}

// kill is kill -9.
func (w *world) kill() {
	_ = w.guard.Process.Kill()
	_ = w.guard.Wait()
	w.guard = nil
}

func (w *world) until(what string, check func() (bool, string)) {
	w.Helper()
	if _, err := lab.Until(what, limit, check); err != nil {
		w.Fatal(err)
	}
}

func boot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// arm arms for so long from now, and returns until when.
func (w *world) arm(d time.Duration) time.Duration {
	w.Helper()
	deadline := boot() + d
	if err := w.Arm(w.Context(), deadline); err != nil {
		w.Fatal(err)
	}
	return deadline
}

// expire arms for a moment, and returns until when. On a busy machine a moment may have passed before it is there.
func (w *world) expire() time.Duration {
	w.Helper()
	for d := 20 * time.Millisecond; ; d *= 2 {
		deadline := boot() + d
		err := w.Arm(w.Context(), deadline)
		if err == nil {
			return deadline
		}
		if d > limit || !strings.Contains(err.Error(), "the deadline has passed") {
			w.Fatal(err)
		}
	}
}

// untilEnded waits until the guard says that all has ended, and looks whether that is so.
func (w *world) untilEnded() {
	w.Helper()
	w.until("the guard says that everything was ended", func() (bool, string) {
		s, err := w.State(w.Context())
		return err == nil && s.Fired && len(s.Stuck) == 0, fmt.Sprintf("%+v %v", s, err)
	})
	if left := w.left(); len(left) > 0 {
		w.Errorf("processes are left: %d", left)
	}
}

// left are the processes in the group, of all hierarchies.
func (w *world) left() (all []int) {
	for _, place := range w.places {
		_ = filepath.WalkDir(place+w.group, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.Name() != "cgroup.procs" {
				return nil // gone, or nothing to read
			}
			text, _ := os.ReadFile(path)
			for _, word := range strings.Fields(string(text)) {
				pid, _ := strconv.Atoi(word)
				all = append(all, pid)
			}
			return nil
		})
	}
	return all
}

// spawn starts a shell that enters a group below the guarded one, makes the file in $ran, and goes on with the script.
func (w *world) spawn(group, script string) *spawned {
	w.Helper()
	args := []string{"-c", `for d; do echo $$ >"$d/cgroup.procs" || exit 99; done; : >"$ran"; ` + script, "sh"}
	for _, place := range w.places {
		dir := place + w.group + "/" + group
		if err := os.MkdirAll(dir, 0o755); err != nil {
			w.Fatal(err)
		}
		args = append(args, dir)
	}
	p := &spawned{world: w, cmd: exec.Command("sh", args...), file: filepath.Join(w.TempDir(), "ran")}
	p.cmd.Env = append(os.Environ(), "ran="+p.file)
	if err := p.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	return p
}

// spawned is a process in the group.
type spawned struct {
	*world
	cmd  *exec.Cmd
	file string
}

// ran says whether it came to execute anything within the group.
func (p *spawned) ran() bool { return exists(p.file) }

func (p *spawned) untilRuns() {
	p.Helper()
	p.until("the process runs", func() (bool, string) { return p.ran(), "it has not made its file" })
}

// untilKilled waits for its end.
func (p *spawned) untilKilled() {
	p.Helper()
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			p.Errorf("the process ended with %v", err)
		}
	case <-time.After(limit):
		p.Fatalf("process %d lives", p.cmd.Process.Pid)
	}
}

// soon is a context for calls that are to fail soon.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}
