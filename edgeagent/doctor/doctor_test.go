package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// world is a machine on paper; files are below a root of their own.
type world struct {
	config Config
	files  map[string]string
	clock  ClockState
	disk   DiskState
	broken error // of the disk
}

func healthy() *world {
	return &world{
		config: Config{
			DataDir: "/var/lib/x", Socket: "/run/c.sock",
			Engine:    func(context.Context) (string, error) { return "1.6.20~ds1", nil },
			LogWriter: func() (string, error) { return "/usr/bin/skerry-log", nil },
			Guard:     func(context.Context) error { return nil },
			Network:   func() (string, error) { return "", nil },
		},
		files: map[string]string{
			"/proc/self/mountinfo":              "30 20 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			"/sys/fs/cgroup/cgroup.controllers": "cpu memory pids\n",
			"/proc/self/cgroup":                 "0::/\n",
			"/proc/filesystems":                 "nodev\ttmpfs\nnodev\toverlay\n",
			"/proc/sys/kernel/osrelease":        "6.1.0\n",
		},
		clock: ClockState{Wall: time.Unix(1_700_000_000, 0), Program: time.Unix(1_690_000_000, 0), Synchronized: true},
		disk:  DiskState{Dir: "/var", Total: 8 << 30, Free: 4 << 30, Inodes: 1e6, TotalInodes: 2e6},
	}
}

func (w *world) examine(t *testing.T) (string, error) {
	t.Helper()
	root := t.TempDir()
	for name, text := range w.files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	w.config.Root = root
	w.config.Clock = func() ClockState { return w.clock }
	w.config.Disk = func(string) (DiskState, error) { return w.disk, w.broken }
	var out strings.Builder
	err := Print(&out, Examine(context.Background(), w.config))
	return strings.ReplaceAll(out.String(), root, ""), err
}

// A machine on which all is well gets a line for each thing, and no error.
func TestHealthyMachine(t *testing.T) {
	got, err := healthy().examine(t)
	if err != nil {
		t.Error(err)
	}
	want := `OK    user           root
OK    cgroups        version 2
OK    memory cgroup  on
OK    overlayfs      supported
OK    containerd     version 1.6.20~ds1
OK    skerry-log     /usr/bin/skerry-log
OK    skerry-guard   it answers
OK    pod network    the CNI plugins and iptables are there
OK    clock          2023-11-14 22:13:20 UTC, synchronized
OK    disk           4096 MiB of 8192 MiB are free at /var
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Each thing that is wrong changes one line, which says what to do; only what keeps every pod from running fails.
func TestUnhealthyMachines(t *testing.T) {
	v1 := "30 20 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
	for name, c := range map[string]struct {
		change func(*world)
		want   string // the beginning of the line
		remedy string // in it
	}{
		"not root":   {func(w *world) { w.config.User = 1000 }, "FAIL  user           user id 1000", "sudo skerry-agent doctor"},
		"no cgroups": {func(w *world) { w.files["/proc/self/mountinfo"] = "" }, "FAIL  cgroups        not mounted", "mount them"},
		"no /proc":   {func(w *world) { delete(w.files, "/proc/self/mountinfo") }, "FAIL  cgroups        unknown", "mount /proc"},
		"cgroup v1":  {func(w *world) { w.files["/proc/self/mountinfo"] = v1 }, "OK    cgroups        version 1", ""},
		"cgroup hybrid": {func(w *world) {
			w.files["/proc/self/mountinfo"] = v1 + "31 20 0:1 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n"
		}, "OK    cgroups        version 1 (hybrid)", ""},
		"no memory cgroup": {func(w *world) { w.files["/sys/fs/cgroup/cgroup.controllers"] = "cpu pids\n" }, "WARN  memory cgroup  off", "cgroup_enable=memory"},
		"memory by v1": {func(w *world) {
			delete(w.files, "/sys/fs/cgroup/cgroup.controllers")
			w.files["/proc/self/cgroup"] = "7:cpu,memory:/\n"
		}, "OK    memory cgroup  on", ""},
		"overlay is a module": {func(w *world) {
			w.files["/proc/filesystems"] = "nodev\ttmpfs\n"
			w.files["/lib/modules/6.1.0/modules.dep"] = "kernel/fs/overlayfs/overlay.ko.xz:\n"
		}, "OK    overlayfs      a module", ""},
		"no overlay":     {func(w *world) { w.files["/proc/filesystems"] = "nodev\ttmpfs\n" }, "FAIL  overlayfs      not supported by the kernel 6.1.0", "CONFIG_OVERLAY_FS"},
		"no containerd":  {func(w *world) { w.engine("", errors.New("it does not\nanswer")) }, "FAIL  containerd     it does not; answer (/run/c.sock)", "apt-get install containerd"},
		"old containerd": {func(w *world) { w.engine("1.4.13", nil) }, "FAIL  containerd     version 1.4.13", "install 1.6 or newer"},
		"new containerd": {func(w *world) { w.engine("2.1.0-rc.1", nil) }, "OK    containerd     version 2.1.0-rc.1", ""},
		"odd containerd": {func(w *world) { w.engine("main", nil) }, `WARN  containerd     its version "main" can't be read`, "1.6 or newer"},
		"no guard": {func(w *world) {
			w.config.Guard = func(context.Context) error { return errors.New("enable its socket") }
		}, "WARN  skerry-guard   pods with partition policy stop can't run", "enable its socket"},
		"no skerry-log": {func(w *world) {
			w.config.LogWriter = func() (string, error) { return "", errors.New("put it there") }
		}, "FAIL  skerry-log     not found", "put it there"},
		"no plugins": {func(w *world) {
			w.config.Network = func() (string, error) { return "", errors.New("install plugins") }
		}, "WARN  pod network    only pods with hostNetwork can run", "install plugins"},
		"no iptables": {func(w *world) {
			w.config.Network = func() (string, error) { return "install iptables", nil }
		}, "WARN  pod network    limited", "install iptables"},
		"woke in 1970":     {func(w *world) { w.clock.Wall = time.Unix(100, 0) }, "WARN  clock          it says 1970-01-01 00:01:40 UTC, but this program is of 2023-07-22", "timedatectl set-ntp true"},
		"not synchronized": {func(w *world) { w.clock.Synchronized = false }, "WARN  clock          2023-11-14 22:13:20 UTC, not synchronized", "chrony"},
		"no such disk":     {func(w *world) { w.broken = errors.New("I/O error") }, "FAIL  disk           I/O error", "choose another --data-dir"},
		"read-only":        {func(w *world) { w.disk.ReadOnly = true }, "FAIL  disk           /var is read-only", "remount"},
		"little room":      {func(w *world) { w.disk.Free = 500 << 20 }, "WARN  disk           500 MiB of 8192 MiB are free at /var", "make room"},
		"no room":          {func(w *world) { w.disk.Free = 10 << 20 }, "FAIL  disk           10 MiB of 8192 MiB are free at /var", "make room"},
		"no inodes":        {func(w *world) { w.disk.Inodes = 10 }, "FAIL  disk           10 inodes are free at /var", "make room"},
		"no inode table":   {func(w *world) { w.disk.Inodes, w.disk.TotalInodes = 0, 0 }, "OK    disk           4096 MiB", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := healthy()
			c.change(w)
			got, err := w.examine(t)
			var line string
			for l := range strings.Lines(got) {
				if strings.HasPrefix(l, c.want) {
					line = l
				}
			}
			if line == "" || !strings.Contains(line, c.remedy) || strings.Contains(line, " → ") != (c.remedy != "") {
				t.Errorf("no line with %q and %q:\n%s", c.want, c.remedy, got)
			}
			if n := strings.Count(got, "\n"); n != 10 {
				t.Errorf("%d lines instead of 10:\n%s", n, got)
			}
			if failed := strings.HasPrefix(c.want, "FAIL"); (err != nil) != failed {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func (w *world) engine(version string, err error) {
	w.config.Engine = func(context.Context) (string, error) { return version, err }
}

// The disk of a directory that is not there yet is that of the one it will be made in.
func TestDiskOfADirectoryToBe(t *testing.T) {
	dir := t.TempDir()
	d, err := ReadDisk(filepath.Join(dir, "a", "b"))
	if err != nil || d.Dir != dir || d.Total == 0 {
		t.Errorf("ReadDisk: %+v, %v", d, err)
	}
}

// The clock of the machine that runs the test is read without an error, and is past the program's birth.
func TestReadClock(t *testing.T) {
	if c := ReadClock(); c.Wall.IsZero() || c.Program.IsZero() {
		t.Errorf("ReadClock: %+v", c)
	}
}
