package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/edgeagent/pod"
)

func newVolumes(t *testing.T) (*Volumes, string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	root := filepath.Join(t.TempDir(), "pods")
	v, err := New(Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Unmount(t.Context(), "u1"); err != nil {
			t.Error(err)
		}
	})
	return v, root
}

// needParts skips where subPath can't work.
func needParts(t *testing.T) {
	t.Helper()
	if _, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH}); errors.Is(err, unix.ENOSYS) {
		t.Skip("subPath needs openat2, which kernels before 5.6 and qemu-user don't have")
	}
}

func file(path, text string) pod.File { return pod.File{Path: path, Mode: 0o640, Data: []byte(text)} }

func secretOf(files ...pod.File) []pod.Volume {
	return []pod.Volume{{Name: "keys", Kind: pod.FileVolume, Memory: true, Files: files}}
}

func reads(t *testing.T, path, want string) {
	t.Helper()
	if data, err := os.ReadFile(path); err != nil || string(data) != want {
		t.Errorf("%s holds %q (%v), want %q", path, data, err, want)
	}
}

// A change switches all files at once; what has not changed is not written; what is over is removed.
func TestFilesChangeTogether(t *testing.T) {
	v, root := newVolumes(t)
	dir := pod.VolumeDir(root, "u1", "keys")
	mount := func(files ...pod.File) string {
		t.Helper()
		if err := v.Mount(t.Context(), "u1", secretOf(files...)); err != nil {
			t.Fatal(err)
		}
		current, err := os.Readlink(filepath.Join(dir, "..data"))
		if err != nil {
			t.Fatal(err)
		}
		return current
	}
	first := mount(file("a", "1"), file("sub/b", "2"))
	reads(t, filepath.Join(dir, "a"), "1")
	reads(t, filepath.Join(dir, "sub/b"), "2")
	if info, _ := os.Stat(filepath.Join(dir, "a")); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
	if again := mount(file("a", "1"), file("sub/b", "2")); again != first {
		t.Error("the same files were written again")
	}
	if second := mount(file("a", "3"), file("c", "4")); second == first {
		t.Error("the change was not written")
	}
	reads(t, filepath.Join(dir, "a"), "3")
	reads(t, filepath.Join(dir, "c"), "4")
	entries, _ := os.ReadDir(dir)
	if len(entries) != 4 { // ..data, its version, a, c
		t.Errorf("left in the volume: %v", entries)
	}
	// A version that was damaged is healed.
	if err := os.Truncate(filepath.Join(dir, "a"), 0); err != nil {
		t.Fatal(err)
	}
	mount(file("a", "3"), file("c", "4"))
	reads(t, filepath.Join(dir, "a"), "3")
}

// Paths that lead out of a volume are refused, whoever lets them through.
func TestPathsStayInside(t *testing.T) {
	needParts(t)
	v, root := newVolumes(t)
	for _, path := range []string{"../x", "/x", "a/../../x", "..data", "a/../b", "", "."} {
		if err := v.Mount(t.Context(), "u1", secretOf(file(path, "x"))); err == nil {
			t.Errorf("%q was written", path)
		}
	}
	for _, uid := range []string{"", ".", "..", "a/b"} {
		if v.Mount(t.Context(), uid, nil) == nil || v.Unmount(t.Context(), uid) == nil {
			t.Errorf("the uid %q was accepted", uid)
		}
	}
	// A container plants links, then mounts them as parts.
	if err := v.Mount(t.Context(), "u1", []pod.Volume{{Name: "work", Kind: pod.EmptyVolume}}); err != nil {
		t.Fatal(err)
	}
	work := pod.VolumeDir(root, "u1", "work")
	for name, target := range map[string]string{"abs": "/etc", "up": "../../../..", "proc": "/proc/self/root"} {
		if err := os.Symlink(target, filepath.Join(work, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"abs", "up", "proc/etc", "up/new", "../keys", "/etc", "abs/new"} {
		part := pod.SubPath{Place: pod.SubPathDir(root, "u1", "app", 0), Volume: work, Path: path}
		if err := v.Bind("u1", []pod.SubPath{part}); err == nil {
			t.Errorf("the part %q was bound", path)
		}
	}
	outside := pod.SubPath{Place: filepath.Join(root, "elsewhere"), Volume: work, Path: "x"}
	if err := v.Bind("u1", []pod.SubPath{outside}); err == nil {
		t.Error("a part was bound elsewhere")
	}
}

// Parts of a volume are bound, made where they lack, and bound anew for another attempt.
func TestParts(t *testing.T) {
	needParts(t)
	v, root := newVolumes(t)
	volumes := append(secretOf(file("a", "1")), pod.Volume{Name: "work", Kind: pod.EmptyVolume})
	if err := v.Mount(t.Context(), "u1", volumes); err != nil {
		t.Fatal(err)
	}
	key, work := pod.SubPathDir(root, "u1", "app", 0), pod.SubPathDir(root, "u1", "app", 1)
	for range 2 {
		if err := v.Bind("u1", []pod.SubPath{
			{Place: key, Volume: pod.VolumeDir(root, "u1", "keys"), Path: "a"},
			{Place: work, Volume: pod.VolumeDir(root, "u1", "work"), Path: "x/y"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	reads(t, key, "1")
	if err := os.WriteFile(filepath.Join(work, "f"), []byte("2"), 0o600); err != nil {
		t.Fatal(err)
	}
	reads(t, filepath.Join(pod.VolumeDir(root, "u1", "work"), "x/y/f"), "2")
	if mounted, err := mountsBelow(v.root); err != nil || len(mounted) != 3 {
		t.Errorf("mounted: %v, %v", mounted, err)
	}
}

// Whatever was mounted, by whatever agent, is taken down, and nothing behind it is harmed.
func TestUnmountHarmsNothing(t *testing.T) {
	needParts(t)
	v, root := newVolumes(t)
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "precious"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	volumes := []pod.Volume{
		{Name: "host", Kind: pod.HostVolume, HostPath: host, HostType: "Directory"},
		{Name: "memory", Kind: pod.EmptyVolume, Memory: true, SizeBytes: 1 << 20},
	}
	if err := v.Mount(t.Context(), "u1", append(volumes, secretOf(file("a", "1"))...)); err != nil {
		t.Fatal(err)
	}
	if err := v.Bind("u1", []pod.SubPath{{Place: pod.SubPathDir(root, "u1", "app", 0), Volume: host, Path: "."}}); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(pod.VolumeDir(root, "u1", "memory"), "big")
	if err := os.WriteFile(big, make([]byte, 2<<20), 0o600); err == nil {
		t.Error("the size of a volume in memory is not limited")
	}
	again, err := New(Config{Root: root}) // after a crash
	if err != nil {
		t.Fatal(err)
	}
	if pods, err := again.List(t.Context()); err != nil || strings.Join(pods, " ") != "u1" {
		t.Errorf("List = %v, %v", pods, err)
	}
	if err := again.Unmount(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	reads(t, filepath.Join(host, "precious"), "1")
	if mounted, err := mountsBelow(v.root); err != nil || len(mounted) > 0 {
		t.Errorf("still mounted: %v, %v", mounted, err)
	}
	if pods, _ := again.List(t.Context()); len(pods) > 0 {
		t.Errorf("still there: %v", pods)
	}
}

// The mode of a volume is the agent's to give once, and then the containers'.
func TestAModeThatContainersSetStays(t *testing.T) {
	v, root := newVolumes(t)
	volumes := append(secretOf(file("a", "1")),
		pod.Volume{Name: "work", Kind: pod.EmptyVolume},
		pod.Volume{Name: "memory", Kind: pod.EmptyVolume, Memory: true})
	has := func(name string, want os.FileMode) {
		t.Helper()
		info, err := os.Stat(pod.VolumeDir(root, "u1", name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %v", name, info.Mode(), err, want)
		}
	}
	// A crash has left a directory that was not yet in its place.
	if err := os.MkdirAll(pod.VolumeDir(root, "u1", "work")+asideSuffix, 0o700); err != nil {
		t.Fatal(err)
	}
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	if err := v.Mount(t.Context(), "u1", volumes); err != nil {
		t.Fatal(err)
	}
	has("keys", 0o755)
	has("work", 0o777)
	has("memory", 0o777)
	for _, name := range []string{"work", "memory"} {
		if err := os.Chmod(pod.VolumeDir(root, "u1", name), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	again, err := New(Config{Root: root}) // another agent, and a Secret that changes
	if err != nil {
		t.Fatal(err)
	}
	volumes[0] = secretOf(file("a", "2"))[0]
	if err := again.Mount(t.Context(), "u1", volumes); err != nil {
		t.Fatal(err)
	}
	reads(t, filepath.Join(pod.VolumeDir(root, "u1", "keys"), "a"), "2")
	has("work", 0o750)
	has("memory", 0o750)
}

func TestHostPathTypes(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, kind, want string }{
		{dir, "Directory", ""}, {at("new/dir"), "DirectoryOrCreate", ""}, {at("new/dir"), "Directory", ""},
		{at("file"), "File", ""}, {at("made"), "FileOrCreate", ""}, {at("made"), "File", ""},
		{"/dev/null", "CharDevice", ""}, {at("any"), "", ""}, {at("file"), "", ""},
		{at("file"), "Directory", "is not a directory"}, {dir, "File", "is not a file"}, {dir, "FileOrCreate", "is not a file"},
		{at("file"), "DirectoryOrCreate", "is not a directory"}, {at("none"), "Directory", "no such file"},
		{"/dev/null", "BlockDevice", "is not a block device"}, {at("file"), "Socket", "is not a socket file"},
		{at("none"), "Socket", "no such file"}, {dir, "Pipe", "not known"},
	} {
		err := checkHostPath(c.path, c.kind)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s as %q: %v, want %q", c.path, c.kind, err, c.want)
		}
	}
}

// A volume with a group is the group's, as fsGroup asks: to write where the pod writes, to read where it reads.
func TestGroup(t *testing.T) {
	v, root := newVolumes(t)
	group := int64(4321)
	volumes := []pod.Volume{
		{Name: "disk", Kind: pod.EmptyVolume, Group: &group},
		{Name: "memory", Kind: pod.EmptyVolume, Memory: true, Group: &group},
		{Name: "keys", Kind: pod.FileVolume, Memory: true, Group: &group, Files: []pod.File{{Path: "sub/key", Mode: 0o400, Data: []byte("k")}}},
	}
	dir := func(name, below string) string { return filepath.Join(pod.VolumeDir(root, "u1", name), below) }
	var version string
	for range 2 { // the second time nothing changes
		if err := v.Mount(t.Context(), "u1", volumes); err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]uint32{
			dir("disk", ""): 0o2777, dir("memory", ""): 0o2777, dir("keys", ""): 0o2755,
			dir("keys", "..data/sub"): 0o755, dir("keys", "sub/key"): 0o440,
		} {
			var s unix.Stat_t
			if err := unix.Stat(path, &s); err != nil || s.Gid != uint32(group) || s.Mode&0o7777 != mode {
				t.Errorf("%s: group %d, mode %o (%v), want %o", path, s.Gid, s.Mode&0o7777, err, mode)
			}
		}
		now, err := os.Readlink(dir("keys", "..data"))
		if err != nil || version != "" && now != version {
			t.Errorf("..data leads to %s, before to %s (%v)", now, version, err)
		}
		version = now
	}
}
