package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/test/images"
)

// Limits arrive in the cgroup files, below the parent that belongs to the data directory.
func TestLimitsAreInForce(t *testing.T) {
	f := newFixture(t).imported(t)
	if f.Engine.cgroups.memory == "" || !f.Engine.cgroups.quota {
		t.Skip("this machine has no memory or cpu cgroup")
	}
	s := f.probe("limits", "app", "sleep")
	s.MemoryBytes, s.CPUMilli, s.CPUShares = 64<<20, 250, 256
	f.start(t, s)
	want := map[string]string{
		"memory.limit_in_bytes": "67108864", "cpu.cfs_quota_us": "25000", "cpu.cfs_period_us": "100000", "cpu.shares": "256",
	}
	if f.Engine.cgroups.v2 {
		want = map[string]string{"memory.max": "67108864", "cpu.max": "25000 100000"}
	}
	for file, value := range want {
		var got string
		for _, mount := range f.Engine.cgroups.mounts {
			text, err := os.ReadFile(filepath.Join(mount, f.config.CgroupParent, "limits", s.ID, file))
			if err == nil {
				got = strings.TrimSpace(string(text))
			}
		}
		if got != value {
			t.Errorf("%s is %q; want %q", file, got, value)
		}
	}
}

// The kernel ends a container when the spec says, whatever containerd is worth to it.
func TestOOMScoreIsInForce(t *testing.T) {
	f := newFixture(t).imported(t)
	s := f.probe("oom", "app", "sleep")
	s.OOMScore = 321
	f.start(t, s)
	list, err := f.Engine.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.ID != s.ID {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.PID), "oom_score_adj"))
		if got := strings.TrimSpace(string(text)); err != nil || got != "321" {
			t.Errorf("oom_score_adj is %q (%v), want 321", got, err)
		}
		return
	}
	t.Errorf("%s is not listed", s.ID)
}

// A limit that the machine can't enforce is no reason not to run.
func TestLimitsThatAreNotThereAreLeftOut(t *testing.T) {
	f := newFixture(t).imported(t)
	f.Engine.cgroups.memory, f.Engine.cgroups.quota, f.Engine.cgroups.swap = "", false, false
	s := f.probe("nolimits", "app", "exit", "0")
	s.MemoryBytes, s.CPUMilli = 64<<20, 250
	f.succeeds(t, s)
}

func TestPrivilegesAreAsAsked(t *testing.T) {
	f := newFixture(t).imported(t)
	for name, c := range map[string]struct {
		change func(*engine.Spec)
		key    string
		want   string
	}{
		"system calls are filtered":              {func(*engine.Spec) {}, "Seccomp", "2"},
		"unless the spec says otherwise":         {func(s *engine.Spec) { s.SeccompUnconfined = true }, "Seccomp", "0"},
		"no new privileges":                      {func(*engine.Spec) {}, "NoNewPrivs", "1"},
		"unless they are allowed":                {func(s *engine.Spec) { s.AllowPrivilegeEscalation = true }, "NoNewPrivs", "0"},
		"Docker's capabilities":                  {func(*engine.Spec) {}, "CapBnd", "00000000a80425fb"},
		"in force from the start":                {func(*engine.Spec) {}, "CapEff", "00000000a80425fb"},
		"none for its children to inherit":       {func(*engine.Spec) {}, "CapInh", "0000000000000000"},
		"nor for a user other than root":         {func(s *engine.Spec) { s.User = number(1000) }, "CapEff", "0000000000000000"},
		"one more":                               {func(s *engine.Spec) { s.AddCapabilities = []string{"NET_ADMIN"} }, "CapBnd", "00000000a80435fb"},
		"one less":                               {func(s *engine.Spec) { s.DropCapabilities = []string{"CAP_CHOWN"} }, "CapBnd", "00000000a80425fa"},
		"none but one":                           {func(s *engine.Spec) { s.DropCapabilities, s.AddCapabilities = []string{"ALL"}, []string{"kill"} }, "CapBnd", "0000000000000020"},
		"a privileged container is not filtered": {func(s *engine.Spec) { s.Privileged = true }, "Seccomp", "0"},
		"a user other than root":                 {func(s *engine.Spec) { s.User = number(1000) }, "Gid", "1000\t1000\t1000\t1000"},
		"more groups":                            {func(s *engine.Spec) { s.User, s.Groups = number(1000), []int64{7, 8, 7} }, "Groups", "7 8 1000"},
		"a group of its own":                     {func(s *engine.Spec) { s.User, s.Group = number(1000), number(7) }, "Gid", "7\t7\t7\t7"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.key == "Seccomp" && !f.Engine.seccomp {
				t.Skip("the kernel has no seccomp")
			}
			s := f.probe("priv", strings.ReplaceAll(strings.ToLower(name), " ", "-"), "check", "status", c.key, c.want)
			s.ID = strings.ReplaceAll(s.ID, "'", "")
			c.change(&s)
			f.succeeds(t, s)
		})
	}
}

// What of the kernel reaches beyond a container is hidden or not for writing. A privileged container sees it, and
// gives nothing of that to those that come after it.
func TestTheKernelIsOutOfReach(t *testing.T) {
	f := newFixture(t).imported(t)
	const script = `
for file in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/interrupts; do
  test ! -e $file || test -z "$(head -c 1 $file)" || { echo $file can be read; exit 1; }
done
for dir in /proc/acpi /proc/scsi /proc/asound /sys/firmware /sys/devices/virtual/powercap; do
  test ! -e $dir || test -z "$(ls $dir)" || { echo $dir can be looked into; exit 1; }
done
for file in /proc/sys/kernel/printk_ratelimit /proc/sysrq-trigger /proc/irq/default_smp_affinity /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/memory/cgroup.procs; do
  test ! -e $file || ! (: >> $file) 2>/dev/null || { echo $file can be opened for writing; exit 1; }
done
mkdir /mnt; mount -t tmpfs none /mnt 2>/dev/null && { echo it can mount; exit 1; }
mknod /null c 1 3 && mknod /disk b 8 0 && mknod /mem c 1 1 || { echo no mknod; exit 1; }
for dev in /disk /mem; do head -c 1 $dev 2>/dev/null && { echo $dev can be read; exit 1; }; done
exit 0`
	for _, c := range []struct {
		name       string
		privileged bool
		script     string
	}{
		{"plain", false, script},
		{"privileged", true, `mkdir /mnt; test -n "$(head -c 1 /proc/interrupts)" && mount -t tmpfs none /mnt`},
		{"after-it", false, script},
	} {
		s := f.probe("kernel", c.name)
		s.Image, s.Command, s.Privileged = images.Busybox, []string{"/bin/sh", "-c", c.script}, c.privileged
		s.LogDir, s.LogMaxBytes, s.LogMaxFiles = t.TempDir(), 1<<20, 2
		f.succeeds(t, s)
		if text, _ := os.ReadFile(filepath.Join(s.LogDir, "0.log")); t.Failed() {
			t.Logf("%s: %s", c.name, text)
		}
	}
}

// Sysctls are set in the container's own namespaces, and nowhere else.
func TestSysctls(t *testing.T) {
	f := newFixture(t).imported(t)
	const file = "/proc/sys/kernel/shm_rmid_forced"
	before, err := os.ReadFile(file)
	if err != nil {
		t.Skip("the kernel has no System V IPC")
	}
	other := map[string]string{"0\n": "1", "1\n": "0"}[string(before)]
	s := f.probe("sysctl", "app", "check", "file", file, other)
	s.Sysctls = map[string]string{"kernel.shm_rmid_forced": other}
	f.succeeds(t, s)
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("the node's was %q and is %q (%v)", before, after, err)
	}
	s = f.probe("sysctl", "net", "sleep")
	s.Sysctls = map[string]string{"net.ipv4.tcp_syncookies": "0"}
	if err := f.Engine.Start(t.Context(), s); err == nil {
		t.Error("a container in the node's network has changed its sysctls")
	}
}

// A container that may not be root is not made for an image that runs as root.
func TestNonRootIsRefused(t *testing.T) {
	f := newFixture(t).imported(t)
	s := f.probe("nonroot", "app", "sleep")
	s.NonRoot = true
	err := f.Engine.Start(t.Context(), s)
	if !errors.Is(err, engine.ErrNonRoot) || !errors.Is(err, engine.ErrConfig) || !strings.Contains(err.Error(), "image will run as root") {
		t.Errorf("Start: %v", err)
	}
	s.User = number(1000)
	s.Args = []string{"check", "uid", "1000"}
	f.succeeds(t, s)
}

func number(n int64) *int64 { return &n }

func TestWhatCanNotBeIsRefusedBeforeAnythingIsMade(t *testing.T) {
	f := newFixture(t).imported(t)
	for want, change := range map[string]func(*engine.Spec){
		`capability "FLY": no such capability`:   func(s *engine.Spec) { s.AddCapabilities = []string{"FLY"} },
		`stop signal "SIGFOO": no such signal`:   func(s *engine.Spec) { s.StopSignal = "SIGFOO" },
		`mount on /x: stat /no/such/file: no su`: func(s *engine.Spec) { s.Mounts = []engine.Mount{{Source: "/no/such/file", Target: "/x"}} },
		`"B a d" is not an image name`:           func(s *engine.Spec) { s.Image = "B a d" },
	} {
		s := f.probe("refused", "app", "sleep")
		change(&s)
		err := f.Engine.Start(t.Context(), s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start = %v; want %s", err, want)
		}
		if c := f.get(t, s.ID); c.ID != "" {
			t.Errorf("listed as %+v", c)
		}
	}
}

func TestFilesOfTheNetwork(t *testing.T) {
	f := newFixture(t).imported(t)
	own := f.probe("files", "own", "check", "file", "/etc/hosts", "127.0.1.1\tmyhost")
	own.Hostname, own.NetNS = "myhost", "/proc/self/ns/net" // any path: containerd's own is as good
	own.NetNS = fmt.Sprintf("/proc/%d/ns/net", os.Getpid())
	f.succeeds(t, own)

	name := f.probe("files", "name", "check", "file", "/etc/hostname", "myhost")
	name.Hostname = "myhost"
	f.succeeds(t, name)

	mounted := f.probe("files", "mounted", "check", "file", "/etc/hosts", "mine")
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	mounted.Mounts = []engine.Mount{{Source: file, Target: "/etc/hosts", ReadOnly: true}}
	f.succeeds(t, mounted)
}

func TestMountsAreReadOnlyWhenAsked(t *testing.T) {
	f := newFixture(t).imported(t)
	dir := t.TempDir()
	s := f.probe("mounts", "ro", "check", "readonly", "/data/file")
	s.Mounts = []engine.Mount{{Source: dir, Target: "/data", ReadOnly: true}}
	f.succeeds(t, s)
	s = f.probe("mounts", "rw", "trap", "0")
	s.Command = []string{"/bin/sh", "-c", "echo hello > /data/file"}
	s.Args, s.Image = nil, images.Busybox
	s.Mounts = []engine.Mount{{Source: dir, Target: "/data"}}
	f.succeeds(t, s)
	if text, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(text) != "hello\n" {
		t.Errorf("the file has %q, %v", text, err)
	}
}

func TestSystemdResolvedIsLookedThrough(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	stub := write("stub", "# by systemd\nnameserver 127.0.0.53\noptions edns0\n")
	plain := write("plain", "nameserver 192.0.2.1\nnameserver 127.0.0.1\n")
	real := write("real", "nameserver 192.0.2.2\n")
	for _, c := range []struct {
		file        string
		hostNetwork bool
		want        string
	}{
		{stub, false, "nameserver 192.0.2.2\n"},
		{stub, true, "# by systemd\nnameserver 127.0.0.53\noptions edns0\n"},
		{plain, false, "nameserver 192.0.2.1\nnameserver 127.0.0.1\n"},
		{filepath.Join(dir, "none"), false, ""},
	} {
		if got := string(resolvConf(c.file, real, c.hostNetwork)); got != c.want {
			t.Errorf("resolvConf(%s, host %v) = %q; want %q", c.file, c.hostNetwork, got, c.want)
		}
	}
}
