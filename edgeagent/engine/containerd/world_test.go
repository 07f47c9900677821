package containerd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/snapshots"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/test/hostenv"
	"github.com/skerry-edge/skerry/test/images"
)

// shared is what all tests of the package use: one containerd, one log writer, one registry.
type shared struct {
	dir        string
	containerd *hostenv.Containerd
	logWriter  string
	registry   *registry

	once sync.Once
	err  error
}

var lab shared

func TestMain(m *testing.M) {
	code := m.Run()
	if lab.containerd != nil {
		if err := lab.containerd.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "clean up:", err)
			code = 1
		}
	}
	if lab.dir != "" {
		os.RemoveAll(lab.dir)
	}
	os.Exit(code)
}

// need starts what the tests share, or skips.
func need(t *testing.T) *shared {
	t.Helper()
	if err := hostenv.Why(); err != nil {
		t.Skip(err)
	}
	lab.once.Do(func() { lab.err = lab.start() })
	if lab.err != nil {
		t.Fatal(lab.err)
	}
	return &lab
}

func (s *shared) start() error {
	dir, err := os.MkdirTemp("", "ske")
	if err != nil {
		return err
	}
	s.dir = dir
	if s.containerd, err = hostenv.New(filepath.Join(dir, "c")); err != nil {
		return err
	}
	s.logWriter = filepath.Join(dir, "skerry-log")
	build := exec.Command("go", "build", "-o", s.logWriter, "github.com/skerry-edge/skerry/edgeagent/logs/writer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build skerry-log: %w\n%s", err, out)
	}
	if _, err := images.WriteAll(filepath.Join(dir, "images"), []v1.Platform{images.Host()}); err != nil {
		return err
	}
	s.registry = newRegistry()
	return nil
}

// fixture is an engine in a containerd namespace of its own.
type fixture struct {
	*shared
	config Config
	Engine *Engine
	stop   func()
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	s := need(t)
	dir := t.TempDir()
	f := &fixture{shared: s, config: Config{
		Socket:       s.containerd.Socket,
		Namespace:    fmt.Sprintf("t%d", time.Now().UnixNano()),
		Dir:          filepath.Join(dir, "run"),
		CgroupParent: CgroupParent(dir),
		LogWriter:    s.logWriter,
		Log:          zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	}}
	f.again(t)
	// Nothing may stay behind, so everything is checked to be gone.
	t.Cleanup(func() {
		f.clear(t)
		f.stop()
	})
	return f
}

// again makes an engine over the same containers, as a restarted agent does.
func (f *fixture) again(t *testing.T) {
	t.Helper()
	if f.stop != nil {
		f.stop()
	}
	e, err := New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	f.Engine = e
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// imported makes the probe and busybox present.
func (f *fixture) imported(t *testing.T) *fixture {
	t.Helper()
	if _, err := f.Engine.Import(t.Context(), filepath.Join(f.dir, "images")); err != nil {
		t.Fatal(err)
	}
	return f
}

// probe is a container that runs the probe.
func (f *fixture) probe(pod, container string, args ...string) engine.Spec {
	return engine.Spec{
		ID: pod + "-" + container + "-0",
		Labels: map[string]string{
			engine.LabelPodUID: pod, engine.LabelContainer: container, engine.LabelAttempt: "0",
		},
		Image:   images.Probe,
		Args:    args,
		Sandbox: pod,
		Cgroup:  pod,
	}
}

func (f *fixture) start(t *testing.T, s engine.Spec) engine.Spec {
	t.Helper()
	if err := f.Engine.Start(t.Context(), s); err != nil {
		t.Fatalf("Start(%s): %v", s.ID, err)
	}
	return s
}

func (f *fixture) get(t *testing.T, id string) engine.Container {
	t.Helper()
	list, err := f.Engine.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.ID == id {
			return c
		}
	}
	return engine.Container{}
}

// in waits for a state.
func (f *fixture) in(t *testing.T, id string, want engine.State) engine.Container {
	t.Helper()
	var c engine.Container
	eventually(t, func() error {
		if c = f.get(t, id); c.State != want {
			return fmt.Errorf("%s is %+v, not %s", id, c, want)
		}
		return nil
	})
	return c
}

// succeeds waits for a check of the probe.
func (f *fixture) succeeds(t *testing.T, s engine.Spec) {
	t.Helper()
	f.start(t, s)
	if c := f.in(t, s.ID, engine.Exited); c.ExitCode != 0 {
		t.Errorf("%v ended with %d", s.Args, c.ExitCode)
	}
}

// clear removes every container, and checks that nothing of them is left.
func (f *fixture) clear(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	list, err := f.Engine.List(ctx)
	if err != nil {
		t.Errorf("List: %v", err)
	}
	for _, c := range list {
		if err := f.Engine.Stop(ctx, c.ID, 0); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if err := f.Engine.Remove(ctx, c.ID); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
	eventually(t, func() error { return f.leftovers(ctx) })
	for _, mount := range f.Engine.cgroups.mounts {
		os.Remove(filepath.Join(mount, f.config.CgroupParent))
	}
}

// leftovers says what is there though there is no container.
func (f *fixture) leftovers(ctx context.Context) error {
	if files, err := os.ReadDir(f.config.Dir); err == nil && len(files) > 0 {
		return fmt.Errorf("files are left: %v", files)
	}
	for _, mount := range f.Engine.cgroups.mounts {
		groups, err := filepath.Glob(filepath.Join(mount, f.config.CgroupParent, "*", "cgroup.procs"))
		if err != nil || len(groups) > 0 {
			return fmt.Errorf("cgroups are left: %v %v", groups, err)
		}
	}
	mounts, err := f.containerd.Mounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if strings.Contains(m, f.config.Namespace) {
			return fmt.Errorf("a mount is left: %s", m)
		}
	}
	shims, err := f.containerd.Shims()
	if err != nil {
		return err
	}
	for _, pid := range shims {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), f.config.Namespace) {
			return fmt.Errorf("shim %d is left", pid)
		}
	}
	all, err := f.Engine.client.ContainerService().List(f.Engine.in(ctx))
	if err != nil || len(all) > 0 {
		return fmt.Errorf("containers are left: %v %v", len(all), err)
	}
	var active []string
	err = f.Engine.client.SnapshotService(f.Engine.Snapshotter).Walk(f.Engine.in(ctx), func(_ context.Context, i snapshots.Info) error {
		if i.Kind == snapshots.KindActive {
			active = append(active, i.Name)
		}
		return nil
	})
	if err != nil || len(active) > 0 {
		return fmt.Errorf("snapshots are left: %v %v", active, err)
	}
	return nil
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("not within 30s: %v", err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
