package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Only a file of this boot counts.
func TestStateFile(t *testing.T) {
	f := stateFile{dir: t.TempDir(), bootID: "this-boot"}
	want := []armed{{stop, 83 * time.Second}, {"/skerry-other/stop", 1<<63 - 1}}
	if err := f.write(want); err != nil {
		t.Fatal(err)
	}
	got, err := f.read()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(armed{})); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if info, err := os.Stat(f.path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	f.bootID = "the-next"
	if got, err := f.read(); len(got) > 0 || err != nil {
		t.Errorf("after a boot: %v, %v", got, err)
	}
	if _, err := os.Stat(f.path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of the boot before: %v", err)
	}
}

// A file that can't be read is set aside, and said.
func TestBadStateFile(t *testing.T) {
	for name, text := range map[string]string{
		"empty":       "",
		"of another":  "skerry-guard-2 this-boot\n",
		"no deadline": "skerry-guard-1 this-boot\n/skerry-a/stop\n",
		"no group":    "skerry-guard-1 this-boot\n12 /etc\n",
		"too long":    "skerry-guard-1 this-boot\n" + strings.Repeat("12 /skerry-a/stop\n", maxGroups+1),
		"huge":        strings.Repeat("x", maxState+1),
	} {
		f := stateFile{dir: t.TempDir(), bootID: "this-boot"}
		if err := os.WriteFile(f.path(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := f.read(); len(got) > 0 || err == nil || !strings.Contains(err.Error(), f.path()+".bad") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if got, err := f.read(); len(got) > 0 || err != nil {
			t.Errorf("%s, the next time: %v, %v", name, got, err)
		}
	}
}

// The lines are those of Raspberry Pi OS, a hybrid Debian, and a container with a directory of the host's.
func TestMounts(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []hierarchy
	}{
		"v2": {"31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n", []hierarchy{{point: "/sys/fs/cgroup", v2: true}}},
		"hybrid": {`22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro
31 30 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 30 0:29 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
35 22 0:29 / /mnt/the\040same rw - cgroup cgroup rw,freezer
`, []hierarchy{
			{point: "/sys/fs/cgroup/unified", v2: true}, {point: "/sys/fs/cgroup/systemd"},
			{point: "/sys/fs/cgroup/cpu,cpuacct"}, {point: "/sys/fs/cgroup/freezer", freezer: true},
		}},
		"space and length": {"1 1 0:1 / /" + strings.Repeat("x", 5000) + " rw - overlay overlay rw\n34 30 0:29 /docker/1 /mnt/a\\040b rw - cgroup cgroup rw,freezer\n",
			[]hierarchy{{point: "/mnt/a b", freezer: true}}},
	} {
		path := filepath.Join(t.TempDir(), "mountinfo")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readMounts(path)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(hierarchy{})); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	if got, err := readMounts(os.DevNull); err == nil {
		t.Errorf("nothing mounted: %v", got)
	}
}

// The log is JSON as the other daemons' is, whatever comes in.
func TestLog(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	(&logger{fd: int(w.Fd())}).line("warn", "a \"b\" \\ c\n\x00é", stop, 83*time.Second)
	w.Close()
	var got map[string]string
	if err := json.NewDecoder(r).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if at, err := time.Parse("2006-01-02T15:04:05.000Z", got["time"]); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("the time is %q", got["time"])
	}
	delete(got, "time")
	want := map[string]string{"level": "warn", "group": stop, "deadline": "1m23s", "message": `a "b" \ c????`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A reader that is full or gone doesn't hold the guard up.
func TestLogDoesNotWait(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	log := &logger{fd: int(w.Fd())}
	for range 2000 {
		log.line("info", strings.Repeat("x", 100), "", 0)
	}
	r.Close()
	log.line("info", "nobody reads this", "", 0)
}

func TestTimes(t *testing.T) {
	for _, at := range []time.Time{
		time.Unix(0, 0), time.Date(2000, 2, 29, 23, 59, 59, 999e6, time.UTC), time.Date(2026, 3, 1, 0, 0, 0, 1e6, time.UTC),
		time.Date(2100, 2, 28, 12, 0, 0, 0, time.UTC), time.Date(2100, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2399, 12, 31, 0, 0, 0, 0, time.UTC),
	} {
		if got, want := string(appendTime(nil, at.UnixMilli())), at.UTC().Format("2006-01-02T15:04:05.000Z07:00"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	o, err := parse([]string{"--socket", "/a", "--state-dir=/b", "-watchdog="})
	if want := (options{socket: "/a", stateDir: "/b"}); o != want || err != nil {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse(nil); err != nil || o.socket != "/run/skerry/guard.sock" || o.stateDir != "/run/skerry/guard" || o.watchdog != "/dev/watchdog" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"socket"}, {"--socket"}, {"--socket", "a"}, {"--state-dir="}, {"--socket", "/" + strings.Repeat("x", 107)}, {"--colour"}, {"x"}} {
		if o, err := parse(args); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v, %v", args, o, err)
		}
	}
}

// Groups in groups are found, however many, and nesting has an end.
func TestWalk(t *testing.T) {
	h := hierarchy{point: t.TempDir()}
	deep := h.point + stop + strings.Repeat("/d", maxDepth-1)
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	var numbers strings.Builder
	for range 3000 {
		numbers.WriteString("12345\n")
	}
	if err := os.WriteFile(deep+"/cgroup.procs", []byte(numbers.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		dir := h.point + stop + "/" + strings.Repeat("n", i%200+1) + "-" + time.Duration(i).String()
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/cgroup.procs", []byte("7\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int]int{}
	if err := h.walk(stop, func(_ string, pid int) { seen[pid]++ }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[int]int{12345: 3000, 7: 300}, seen); diff != "" {
		t.Error(diff)
	}
	if err := os.MkdirAll(deep+"/e/f", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := h.walk(stop, func(string, int) {}); err == nil {
		t.Error("there is no end to nesting")
	}
}
