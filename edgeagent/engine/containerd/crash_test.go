package containerd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/edgeagent/engine"
)

// A crash of containerd costs nothing: what runs goes on as the same processes, what ended meanwhile is
// listed with its exit code, and the agent is told to look at everything.
func TestContainerdIsKilledWhileContainersRun(t *testing.T) {
	f := newFixture(t).imported(t)
	stays := f.start(t, f.probe("crash", "stays", "trap", "4"))
	beside := f.start(t, f.probe("crash", "beside", "sleep"))
	ends := f.start(t, f.probe("crash2", "ends", "exit", "9", "1s"))
	before := f.in(t, stays.ID, engine.Running)
	hints := f.Engine.Events(func() {})
	defer hints.Close()

	if err := f.containerd.Kill(); err != nil {
		t.Fatal(err)
	}
	restarted := false
	defer func() {
		if !restarted {
			if err := f.containerd.Start(); err != nil {
				t.Error(err)
			}
		}
	}()
	for what, call := range map[string]func() error{
		"List": func() error { _, err := f.Engine.List(t.Context()); return err },
		"Pull": func() error { _, err := f.Engine.Pull(t.Context(), "busybox:1", false, nil); return err },
		"Start": func() error {
			return f.Engine.Start(t.Context(), f.probe("crash", "new", "sleep"))
		},
		"Stop":   func() error { return f.Engine.Stop(t.Context(), stays.ID, time.Second) },
		"Remove": func() error { return f.Engine.Remove(t.Context(), stays.ID) },
		"Images": func() error { _, err := f.Engine.Images(t.Context()); return err },
		"Import": func() error {
			_, err := f.Engine.Import(t.Context(), filepath.Join(f.dir, "images"))
			return err
		},
	} {
		if err := call(); !errors.Is(err, engine.ErrAway) {
			t.Errorf("%s = %v; want ErrAway", what, err)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error has several lines: %q", what, err)
		}
	}
	if err := syscall.Kill(before.PID, 0); err != nil {
		t.Errorf("the container's process went with containerd: %v", err)
	}
	// The other one ends while nobody listens: its only process is gone when its group is empty.
	eventually(t, func() error {
		for _, mount := range f.Engine.cgroups.mounts {
			procs, err := os.ReadFile(filepath.Join(mount, f.config.CgroupParent, "crash2", ends.ID, "cgroup.procs"))
			if err == nil && len(procs) > 0 {
				return fmt.Errorf("%s still has processes", ends.ID)
			}
		}
		return nil
	})
	for {
		if _, ok := hints.Next(); !ok {
			break
		}
	}
	if err := f.containerd.Start(); err != nil {
		t.Fatal(err)
	}
	restarted = true
	eventually(t, func() error {
		if _, err := f.Engine.List(t.Context()); err != nil {
			return err
		}
		for {
			id, ok := hints.Next()
			if !ok {
				return errors.New("no hint to look at all containers")
			}
			if id == "" {
				return nil
			}
		}
	})
	if diff := cmp.Diff(before, f.get(t, stays.ID)); diff != "" {
		t.Errorf("what ran is different now (-before +after):\n%s", diff)
	}
	if c := f.in(t, ends.ID, engine.Exited); c.ExitCode != 9 {
		t.Errorf("what ended meanwhile is %+v", c)
	}
	f.in(t, beside.ID, engine.Running)
	// Its shim is collected, and the events flow again.
	eventually(t, func() error { return f.shims(1) })
	if err := f.Engine.Stop(t.Context(), stays.ID, time.Minute); err != nil {
		t.Fatal(err)
	}
	if c := f.in(t, stays.ID, engine.Exited); c.ExitCode != 4 {
		t.Errorf("stopped after the crash: %+v", c)
	}
}

// shims checks how many this fixture's containers have.
func (f *fixture) shims(want int) error {
	all, err := f.containerd.Shims()
	if err != nil {
		return err
	}
	n := 0
	for _, pid := range all {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), f.config.Namespace) {
			n++
		}
	}
	if n != want {
		return fmt.Errorf("%d shims; want %d", n, want)
	}
	return nil
}

// Containers of a pod share a shim, which goes with the last of them although they stay listed.
func TestOneShimForAPod(t *testing.T) {
	f := newFixture(t).imported(t)
	a := f.start(t, f.probe("podA", "one", "sleep"))
	b := f.start(t, f.probe("podA", "two", "sleep"))
	c := f.start(t, f.probe("podB", "one", "sleep"))
	if err := f.shims(2); err != nil {
		t.Error(err)
	}
	for i, s := range []engine.Spec{a, b, c} {
		if err := f.Engine.Stop(t.Context(), s.ID, 0); err != nil {
			t.Fatal(err)
		}
		left := []int{2, 1, 0}[i]
		eventually(t, func() error { return f.shims(left) })
		if got := f.get(t, s.ID); got.State != engine.Exited || got.ExitCode != 137 {
			t.Errorf("listed as %+v", got)
		}
	}
	// A pod of which everything ended can run again.
	d := f.probe("podA", "one", "sleep")
	d.ID = "podA-one-1"
	f.start(t, d)
	f.in(t, d.ID, engine.Running)
}

// A shim that is killed takes its containers with it; they are told ended, not running.
func TestAShimIsKilled(t *testing.T) {
	f := newFixture(t).imported(t)
	s := f.start(t, f.probe("shim", "app", "sleep"))
	pid := f.in(t, s.ID, engine.Running).PID
	all, err := f.containerd.Shims()
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	for _, shim := range all {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", shim)); err == nil && strings.Contains(string(line), f.config.Namespace) {
			if err := syscall.Kill(shim, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, func() error {
		if c := f.get(t, s.ID); c.State != engine.Exited && c.State != engine.Lost {
			return fmt.Errorf("listed as %+v", c)
		}
		return nil
	})
	eventually(t, func() error {
		if syscall.Kill(pid, 0) == nil {
			return errors.New("its process still runs")
		}
		return nil
	})
}

// IDs that containerd doesn't take work all the same.
func TestLongAndUnusualIDs(t *testing.T) {
	f := newFixture(t).imported(t)
	for _, container := range []string{strings.Repeat("long-name-", 7) + "x", "two--dashes"} {
		s := f.probe("3b3e0a4c-6b7a-4a55-9d29-5a2a4b1c9d10", container, "exit", "3", "20ms")
		s.Sandbox = container
		hints := f.Engine.Events(func() {})
		f.start(t, s)
		if c := f.in(t, s.ID, engine.Exited); c.ExitCode != 3 {
			t.Errorf("listed as %+v", c)
		}
		eventually(t, func() error {
			for {
				id, ok := hints.Next()
				if !ok {
					return errors.New("no hint")
				}
				if id == s.ID {
					return nil
				}
			}
		})
		hints.Close()
		if err := f.Engine.Stop(t.Context(), s.ID, 0); err != nil {
			t.Error(err)
		}
		if err := f.Engine.Remove(t.Context(), s.ID); err != nil {
			t.Error(err)
		}
	}
}

// Without containerd an engine can be made; it just can't do anything yet.
func TestNoContainerd(t *testing.T) {
	e, err := New(Config{Socket: filepath.Join(t.TempDir(), "none.sock"), Namespace: "none", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	_, err = e.List(t.Context())
	if !errors.Is(err, engine.ErrAway) || !strings.Contains(err.Error(), "none.sock") {
		t.Errorf("List = %v; want ErrAway and the socket's name", err)
	}
	if _, err := e.Version(t.Context()); !errors.Is(err, engine.ErrAway) {
		t.Errorf("Version = %v; want ErrAway", err)
	}
}
