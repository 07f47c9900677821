package guard

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Real processes in real groups end at the deadline, whatever they do, and not before; what comes later does not run.
func TestRealProcesses(t *testing.T) {
	for _, l := range layouts() {
		t.Run(l.name, func(t *testing.T) {
			w := newWorld(t, l)
			w.arm(time.Hour)
			all := []*spawned{
				w.spawn("pod1/plain", "exec sleep 600"),
				w.spawn("pod1/parent", "sleep 600 & sleep 600 & (sleep 600 & wait) & wait"),
				w.spawn("pod1/deaf", "trap '' TERM INT HUP; while :; do sleep 600; done"),
				w.spawn("pod2/busy", "while :; do :; done"),
				w.spawn("pod2/forks", "while :; do (sleep 600 & wait) & sleep 0.01; done"),
				w.spawn("pod2/forks/below", "while :; do (:); done"),
			}
			stopped := w.spawn("pod3/stopped", "exec sleep 600")
			for _, p := range append(all, stopped) {
				p.untilRuns()
			}
			if err := stopped.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			all = append(all, stopped)

			w.arm(time.Minute)
			w.arm(2 * time.Minute)
			if s, err := w.State(t.Context()); err != nil || !s.Armed || s.Fired || len(w.left()) < len(all) {
				t.Fatalf("before the deadline: %+v, %v, processes %d", s, err, w.left())
			}
			deadline := w.expire() // an earlier one replaces
			w.untilEnded()
			t.Logf("ended and seen to be ended %s after the deadline", boot()-deadline)
			for _, p := range all {
				p.untilKilled()
			}
			if s, err := w.State(t.Context()); err != nil || s.Deadline != deadline {
				t.Errorf("%+v, %v", s, err)
			}

			// Three that come at once, and one of a container that is new.
			late := []*spawned{w.spawn("pod1/plain", "exec sleep 600"), w.spawn("pod1/late", "exec sleep 600"), w.spawn("pod9/late", "while :; do sleep 600 & done")}
			for _, p := range late {
				p.untilKilled()
				if p.ran() && l.freezer {
					t.Error("a process that came after the deadline ran")
				}
			}
			w.untilEnded()

			w.arm(time.Hour)
			again := w.spawn("pod1/again", "exec sleep 600")
			again.untilRuns()
			if err := w.Disarm(t.Context()); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), strconv.Itoa(again.cmd.Process.Pid)) {
				t.Errorf("disarming with a process: %v", err)
			}
			w.expire()
			again.untilKilled()
			w.untilEnded()
			w.arm(time.Hour)
			if err := w.Disarm(t.Context()); err != nil {
				t.Error(err)
			}
			if s, err := w.State(t.Context()); err != nil || s.Armed {
				t.Errorf("%+v, %v", s, err)
			}
			for _, place := range w.places {
				for file, want := range map[string]string{"freezer.state": "FROZEN\n", "cgroup.freeze": "1\n"} {
					if text, err := os.ReadFile(place + w.group + "/" + file); err == nil && string(text) != want {
						t.Errorf("after disarming %s of %s is %q", file, place, text)
					}
				}
			}
		})
	}
}

// A guard that is killed loses nothing: the next one ends what the first was to end, at the deadline or, if that has
// passed, at once.
func TestGuardIsKilled(t *testing.T) {
	for _, l := range layouts() {
		t.Run(l.name, func(t *testing.T) {
			w := newWorld(t, l)
			w.arm(time.Hour)
			p := w.spawn("pod/c", "exec sleep 600")
			p.untilRuns()
			deadline := w.arm(3 * time.Second)
			w.kill()
			if _, err := w.State(soon(t)); !errors.Is(err, ErrAway) {
				t.Errorf("without a guard: %v", err)
			}
			w.start()
			if s, err := w.State(t.Context()); err != nil || !s.Armed || s.Deadline != deadline {
				t.Errorf("the next guard: %+v, %v", s, err)
			}
			p.untilKilled()
			if late := boot() - deadline; late < 0 {
				t.Errorf("it was ended %s before the deadline", -late)
			}
			w.untilEnded()

			w.arm(time.Hour)
			p = w.spawn("pod/c", "while :; do sleep 600 & sleep 0.01; done")
			p.untilRuns()
			deadline = w.arm(2 * time.Second)
			w.kill()
			w.until("the deadline has passed", func() (bool, string) { return boot() > deadline, "" })
			if len(w.left()) == 0 {
				t.Error("without a guard it ended")
			}
			w.start()
			p.untilKilled()
			w.untilEnded()
		})
	}
}

// A process that can be neither killed nor frozen is named, and the board restarted; here the guard has no right to kill
// what another user runs. Where there is a freezer the process is left frozen instead, and nothing is restarted.
func TestStuckProcess(t *testing.T) {
	for _, l := range layouts() {
		if strings.Contains(strings.Join(l.places, " "), "unified") || l.places[0] == cgroups {
			continue // cgroup.kill reaches it
		}
		t.Run(l.name, func(t *testing.T) {
			w := newWorld(t, l)
			w.kill()
			w.watchdog = filepath.Join(t.TempDir(), "watchdog")
			if err := os.WriteFile(w.watchdog, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			w.prepare += "\nexec setpriv --bounding-set -kill \"$0\" \"$@\""
			w.start()
			w.arm(time.Hour)
			p := w.spawn("pod/c", "exec setpriv --reuid 65534 --clear-groups sleep 600")
			p.untilRuns()
			w.until("it is another user's", func() (bool, string) {
				status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
				return strings.Contains(string(status), "\nUid:\t65534"), fmt.Sprint(err)
			})
			deadline := w.expire()
			w.until("the guard has given up", func() (bool, string) {
				s, err := w.State(t.Context())
				return err == nil && (s.Rebooting || l.freezer && boot() > deadline+3*time.Second), fmt.Sprintf("%+v %v", s, err)
			})
			s, err := w.State(t.Context())
			if err != nil || s.Fired || !s.Watchdog || s.Rebooting == l.freezer || len(s.Stuck) > 0 == l.freezer {
				t.Errorf("%+v, %v", s, err)
			}
			if text, err := os.ReadFile(w.watchdog); err != nil || len(text) > 0 {
				t.Errorf("the watchdog was petted with %q, %v", text, err)
			}
			if err := w.Arm(t.Context(), boot()+time.Hour); err == nil || l.freezer && !errors.Is(err, ErrBusy) {
				t.Errorf("arming says %v", err)
			}
			_ = p.cmd.Process.Kill()
		})
	}
}

// Two agents share a guard; the end of one's pods is not the other's.
func TestTwoAgents(t *testing.T) {
	l := layouts()[0]
	w := newWorld(t, l)
	other := *w
	other.group = w.group + "-other"
	other.Client = New(Config{Socket: w.dir + "/guard.sock", Group: other.group})
	w.arm(time.Hour)
	other.arm(time.Hour)
	mine, its := w.spawn("pod/c", "exec sleep 600"), other.spawn("pod/c", "exec sleep 600")
	mine.untilRuns()
	its.untilRuns()
	w.expire()
	mine.untilKilled()
	w.untilEnded()
	if left := other.left(); len(left) == 0 {
		t.Error("the other's process was ended too")
	}
	w.kill()
	w.start()
	w.untilEnded()
	if s, err := other.State(t.Context()); err != nil || !s.Armed || s.Fired || len(other.left()) == 0 {
		t.Errorf("after another guard was started the other's state is %+v, %v", s, err)
	}
	other.expire()
	its.untilKilled()
	other.untilEnded()
}

// It is small, and all of it is locked.
func TestSize(t *testing.T) {
	w := newWorld(t, layouts()[len(layouts())-1])
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 2_500_000 {
		t.Errorf("the program has %d bytes, the budget is 2.5 MB", info.Size())
	}
	for range 40 {
		w.arm(time.Hour)
	}
	w.spawn("pod/c", "exec sleep 600").untilRuns()
	w.expire()
	w.untilEnded()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.guard.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	kB := map[string]int{}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		kB[key], _ = strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
	}
	t.Logf("%d bytes on disk, %d kB in memory, of which %d anonymous", info.Size(), kB["VmRSS"], kB["RssAnon"])
	if kB["VmRSS"]*1024 > 3_000_000 {
		t.Errorf("it has %d kB in memory, the budget is 3 MB", kB["VmRSS"])
	}
	if kB["VmLck"] == 0 {
		t.Error("its memory is not locked")
	}
}

// Nobody but root is heard, and who says nothing holds nobody up.
func TestWhoMayAsk(t *testing.T) {
	w := newWorld(t, layouts()[0])
	socket := w.dir + "/guard.sock"
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	for range 7 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	w.arm(time.Hour)
	for _, dir := range []string{w.dir, filepath.Dir(w.dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := asNobody(func() error { return w.Arm(soon(t), boot()+time.Hour) }); err == nil || !strings.Contains(err.Error(), "only root may ask") {
		t.Errorf("nobody hears %v", err)
	}
}

// asNobody does something as another user, on a thread that ends with it.
func asNobody(do func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err == nil {
			syscall.Close(fd)
		}
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
			result <- errno
			return
		}
		result <- do()
	}()
	return <-result
}

// systemd hands over the socket; a guard with nothing to do ends, and one that is armed stays.
func TestStartedBySystemd(t *testing.T) {
	w := newWorld(t, layouts()[0])
	w.kill()
	socket := w.dir + "/guard.sock"
	_ = os.Remove(socket)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	passed, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	notify := filepath.Join(t.TempDir(), "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	w.prepare = `export LISTEN_FDS=1 LISTEN_PID=$$`
	activate := func() {
		t.Helper()
		w.launch(func(cmd *exec.Cmd) {
			cmd.ExtraFiles = []*os.File{passed}
			cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+notify)
		})
		buf := make([]byte, 100)
		if err := told.SetReadDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		if n, err := told.Read(buf); err != nil || string(buf[:n]) != "READY=1" {
			t.Fatalf("systemd is told %q, %v", buf[:n], err)
		}
	}
	ends := func() {
		t.Helper()
		if err := w.guard.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
		w.guard = nil
	}
	activate()
	if s, err := w.State(t.Context()); err != nil || s.Armed {
		t.Errorf("%+v, %v", s, err)
	}
	ends()
	activate()
	w.arm(time.Hour)
	if err := w.Disarm(t.Context()); err != nil {
		t.Error(err)
	}
	ends()
	activate()
	w.arm(time.Hour)
	w.kill()
	activate() // it has the socket, and the state
	if s, err := w.State(t.Context()); err != nil || !s.Armed {
		t.Errorf("%+v, %v", s, err)
	}
	w.expire()
	w.untilEnded()
}

// What goes wrong is said in words that help.
func TestErrors(t *testing.T) {
	socket := t.TempDir() + "/none.sock"
	_, err := New(Config{Socket: socket, Group: "/skerry-1a2b3c4d/stop"}).State(t.Context())
	if !errors.Is(err, ErrAway) {
		t.Errorf("%v is not ErrAway", err)
	}
	for _, want := range []string{"systemctl enable --now skerry-guard.socket", socket} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q has no %q", err, want)
		}
	}
	if _, err := New(Config{Socket: socket, Group: "/"}).State(t.Context()); err == nil || errors.Is(err, ErrAway) {
		t.Errorf("a group that is none: %v", err)
	}

	w := newWorld(t, layouts()[0])
	if err := w.Arm(t.Context(), boot()-time.Second); err == nil || !strings.Contains(err.Error(), "the deadline has passed") {
		t.Errorf("a deadline that has passed: %v", err)
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--socket", w.dir + "/guard.sock", "--state-dir", w.dir + "/other"}, 1, "another process listens at " + w.dir + "/guard.sock"},
		{[]string{"--socket", w.dir + "/other.sock", "--state-dir", w.dir + "/state"}, 1, "another skerry-guard uses " + w.dir + "/state"},
		{[]string{"--sokcet", "/x"}, 2, `unknown argument "--sokcet"`},
		{[]string{"--version"}, 0, "skerry-guard v0-test"},
		{[]string{"--help"}, 0, "--state-dir DIR"},
	} {
		cmd := exec.Command(path, c.args...)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%q: exit code %d, says %q", c.args, cmd.ProcessState.ExitCode(), out)
		}
	}
}
