package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/edgeagent/pod"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// A volume of files whose directory somebody has filled with links that lead out: an update reads and writes nothing
// outside. Who gets there is on the node as root already; this gets them nothing more, and no file of the node is hurt.
func TestAttackLinksInAVolumeOfFiles(t *testing.T) {
	for name, plant := range map[string]func(t *testing.T, dir, outside string){
		"the switch leads out": func(t *testing.T, dir, outside string) { link(t, outside, filepath.Join(dir, "..data")) },
		"the switch leads up":  func(t *testing.T, dir, outside string) { link(t, "../../../../outside", filepath.Join(dir, "..data")) },
		"the switch is a version's name": func(t *testing.T, dir, outside string) {
			link(t, outside, filepath.Join(dir, "..version-x"))
			link(t, "..version-x", filepath.Join(dir, "..data"))
		},
		"the next switch leads out": func(t *testing.T, dir, outside string) { link(t, outside, filepath.Join(dir, "..data_new")) },
		"a file leads out": func(t *testing.T, dir, outside string) {
			link(t, filepath.Join(outside, "victim"), filepath.Join(dir, "a"))
		},
		"a directory leads out":           func(t *testing.T, dir, outside string) { link(t, outside, filepath.Join(dir, "sub")) },
		"what is to be removed leads out": func(t *testing.T, dir, outside string) { link(t, outside, filepath.Join(dir, "old")) },
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			outside, dir := filepath.Join(top, "outside"), filepath.Join(top, "pods/u1/volumes/v")
			for _, d := range []string{outside, dir} {
				if err := os.MkdirAll(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join(outside, "victim"), "mine")
			write(t, filepath.Join(outside, "a"), "1")
			plant(t, dir, outside)
			err := writeFiles(dir, []pod.File{file("a", "1"), file("sub/b", "2")}, nil)
			if err == nil {
				reads(t, filepath.Join(dir, "a"), "1")
				reads(t, filepath.Join(dir, "sub/b"), "2")
				if real, err := filepath.EvalSymlinks(filepath.Join(dir, "sub/b")); err != nil || !strings.HasPrefix(real, dir+"/") {
					t.Errorf("the file is %s (%v)", real, err)
				}
			}
			reads(t, filepath.Join(outside, "victim"), "mine")
			if entries, _ := os.ReadDir(outside); len(entries) != 2 {
				t.Errorf("outside there is %v", entries)
			}
		})
	}
}

// Paths of files that lead out of their volume, should ever a master send them: nothing is written.
func TestAttackPathsOfFiles(t *testing.T) {
	for _, path := range []string{"../x", "/etc/x", "a/../../x", "..", ".", "", "..data", "..data/x", "a/", "a//b", "./a", "a/../b"} {
		dir := t.TempDir()
		if err := writeFiles(dir, []pod.File{file("ok", "1"), file(path, "x")}, nil); err == nil || !strings.Contains(err.Error(), "leads out of the volume") {
			t.Errorf("%q: %v", path, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("%q: there is %v", path, entries)
		}
	}
}

// A container swaps a directory of its volume for a link to the node's files, over and over, while the agent binds a
// part of the volume: what is bound is always of the volume, or there is an error. The attacker gets nothing.
func TestAttackSwapWhileBinding(t *testing.T) {
	needParts(t)
	v, root := newVolumes(t)
	if err := v.Mount(t.Context(), "u1", []pod.Volume{{Name: "work", Kind: pod.EmptyVolume}}); err != nil {
		t.Fatal(err)
	}
	work := pod.VolumeDir(root, "u1", "work")
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), "of the node")
	if err := os.Mkdir(filepath.Join(work, "dir"), 0o777); err != nil {
		t.Fatal(err)
	}
	link(t, outside, filepath.Join(work, "link"))
	stop := make(chan struct{})
	var attacker sync.WaitGroup
	attacker.Go(func() {
		for {
			select {
			case <-stop:
				return
			default: // one name is now the directory, now the link
				unix.Renameat2(unix.AT_FDCWD, filepath.Join(work, "dir"), unix.AT_FDCWD, filepath.Join(work, "link"), unix.RENAME_EXCHANGE)
			}
		}
	})
	defer attacker.Wait()
	defer close(stop)
	part := pod.SubPath{Place: pod.SubPathDir(root, "u1", "a", 0), Volume: work, Path: "dir"}
	bound, refused := 0, 0
	for range 300 {
		if err := v.Bind("u1", []pod.SubPath{part}); err != nil {
			refused++
		} else {
			bound++
		}
		if _, err := os.Stat(filepath.Join(part.Place, "secret")); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the node's file is in the container's reach: %v", err)
		}
	}
	if bound == 0 || refused == 0 {
		t.Logf("%d bound, %d refused: the race was never met", bound, refused)
	}
}

// Nor does a part that is not there yet get made behind a link that leads out.
func TestAttackMakeBehindALink(t *testing.T) {
	needParts(t)
	v, root := newVolumes(t)
	if err := v.Mount(t.Context(), "u1", []pod.Volume{{Name: "work", Kind: pod.EmptyVolume}}); err != nil {
		t.Fatal(err)
	}
	work, outside := pod.VolumeDir(root, "u1", "work"), t.TempDir()
	link(t, outside, filepath.Join(work, "out"))
	link(t, "../../../..", filepath.Join(work, "up"))
	link(t, filepath.Join(outside, "made"), filepath.Join(work, "nowhere"))
	link(t, "/proc/self/root", filepath.Join(work, "magic"))
	for _, path := range []string{"out/made", "up/made", "nowhere", "nowhere/made", "magic/etc", "../made", "/etc", "a/../../../made"} {
		err := v.Bind("u1", []pod.SubPath{{Place: pod.SubPathDir(root, "u1", "a", 0), Volume: work, Path: path}})
		if err == nil {
			t.Errorf("%s was bound", path)
		}
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("outside there is %v", entries)
	}
}

// The names of pods, volumes and places come from the API: none of them leads to another directory.
func TestAttackNames(t *testing.T) {
	v, root := newVolumes(t)
	victim := filepath.Join(filepath.Dir(root), "victim")
	if err := os.Mkdir(victim, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../victim", "..", ".", "", "a/b", "/etc"} {
		if err := v.Mount(t.Context(), name, []pod.Volume{{Name: "v", Kind: pod.EmptyVolume}}); err == nil {
			t.Errorf("a pod %q has volumes", name)
		}
		if err := v.Mount(t.Context(), "u1", []pod.Volume{{Name: name, Kind: pod.EmptyVolume}}); err == nil {
			t.Errorf("there is a volume %q", name)
		}
		if err := v.Unmount(t.Context(), name); err == nil {
			t.Errorf("volumes of %q were removed", name)
		}
		if err := v.Bind("u1", []pod.SubPath{{Place: filepath.Join(pod.SubPathDir(root, "u1", "a", 0), "../../../../..", name), Volume: root, Path: "x"}}); err == nil {
			t.Errorf("a part was bound at %q", name)
		}
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
}

// A hostPath that shall be made where another pod has put a link that leads nowhere: nothing is made behind it. One
// that shall be of a type is judged by what it is, and a link to something else is something else.
func TestAttackHostPathLinks(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("file"), "")
	link(t, in("made"), in("dangling"))
	link(t, in("file"), in("to-file"))
	link(t, dir, in("to-dir"))
	for _, c := range []struct{ name, kind string }{
		{"dangling", ""}, {"dangling", "FileOrCreate"}, {"dangling", "DirectoryOrCreate"}, {"dangling", "File"},
		{"to-dir", "File"}, {"to-file", "Directory"}, {"to-file", "Socket"}, {"to-file", "CharDevice"}, {"to-file", "BlockDevice"},
		{"to-file/below", "DirectoryOrCreate"}, {"dangling/below", "FileOrCreate"},
	} {
		if err := checkHostPath(in(c.name), c.kind); err == nil {
			t.Errorf("%s passes for %q", c.name, c.kind)
		}
	}
	if _, err := os.Lstat(in("made")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was made behind the link: %v", err)
	}
}
