package restore

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/protocol/ballast/fulldisk"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// made is a backup of a store of that many bytes, with its key.
type made struct {
	Config
	data []byte
}

func save(t *testing.T, store int, files ...recovery.File) made {
	t.Helper()
	key, err := recovery.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if files == nil {
		files = []recovery.File{{Name: "cluster.pem", Data: []byte("keys")}, {Name: "secrets.key", Data: []byte("more keys")}}
	}
	wrapped, err := recovery.Wrap(recovery.Bundle{Cluster: "home", Files: files}, key.Recipient(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	info := recovery.Info{Cluster: "home", Term: 3, Start: 9, Rev: 77, Time: time.Unix(1_800_000_000, 0).UTC(), Version: "v", Store: int64(store)}
	w, err := recovery.NewWriter(&out, key.Recipient(), info, wrapped, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("s"), store)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m := made{data: out.Bytes(), Config: Config{
		Backup: filepath.Join(dir, "backup"), KeyFile: filepath.Join(dir, "key"), Dir: filepath.Join(dir, "lib", "master"),
	}}
	m.write(t, m.Backup, out.String())
	m.write(t, m.KeyFile, key.Text()+"\n")
	return m
}

func (m made) write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// old makes the data directory one in which a master has run, and returns what it holds.
func (m made) old(t *testing.T) map[string]string {
	t.Helper()
	for name, text := range map[string]string{"state.db": "old", "cluster.pem": "old keys", "lock": "", "epoch": "5.2\n", "extra/file": "x"} {
		m.write(t, filepath.Join(m.Dir, name), text)
	}
	return tree(t, m.Dir)
}

// tree is every file below a directory, with its content; nil if there is none.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+"/")] = string(data)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// whole checks that the data directory is that of the backup, and returns its epoch.
func (m made) whole(t *testing.T, store int) (term, start int) {
	t.Helper()
	got := tree(t, m.Dir)
	if _, err := fmt.Sscanf(got["epoch"], "%d.%d\n", &term, &start); err != nil {
		t.Errorf("the epoch is %q", got["epoch"])
	}
	delete(got, "epoch")
	if note, err := recovery.ReadNote(m.Dir); err != nil || note.Rev != 77 {
		t.Errorf("the note for the master: %+v, %v", note, err)
	}
	delete(got, recovery.NoteFile)
	want := map[string]string{"cluster.pem": "keys", "secrets.key": "more keys", "state.db": strings.Repeat("s", store)}
	if !maps.Equal(got, want) {
		t.Errorf("restored were %v", slices.Sorted(maps.Keys(got)))
	}
	err := filepath.WalkDir(m.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return term, start
}

// beside is what lies beside the data directory.
func (m made) beside(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(m.Dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// On an empty machine, in an empty directory, and in the place of a master's directory, which is kept. The epoch is above
// all that is known.
func TestRestore(t *testing.T) {
	const size = 200_000
	m := save(t, size)
	report, err := Restore(m.Config)
	if err != nil || report.Aside != "" || report.Rev != 77 {
		t.Fatalf("on an empty machine: %+v, %v", report, err)
	}
	if term, start := m.whole(t, size); term != 4 || start >= randomStarts || report.Epoch != fmt.Sprintf("%d.%d", term, start) {
		t.Errorf("the epoch after 3.9 is %d.%d, said was %s", term, start, report.Epoch)
	}

	if report, err = Restore(m.Config); err != nil || report.Aside != m.Dir+".before-restore-1" { // twice
		t.Fatalf("twice: %+v, %v", report, err)
	}
	if term, _ := m.whole(t, size); term != 5 {
		t.Errorf("the second time the term is %d", term)
	}

	if err := os.RemoveAll(m.Dir); err != nil {
		t.Fatal(err)
	}
	before := m.old(t)
	if report, err = Restore(m.Config); err != nil || report.Aside != m.Dir+".before-restore-2" {
		t.Fatalf("over a master's directory: %+v, %v", report, err)
	}
	if term, _ := m.whole(t, size); term != 6 {
		t.Errorf("the term after 5.2 is %d", term)
	}
	if diff := cmp.Diff(before, tree(t, report.Aside)); diff != "" {
		t.Errorf("what was there is not what it was: %s", diff)
	}

	if err := errors.Join(os.RemoveAll(m.Dir), os.Mkdir(m.Dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if report, err = Restore(m.Config); err != nil || report.Aside != "" {
		t.Fatalf("in an empty directory: %+v, %v", report, err)
	}
	m.whole(t, size)

	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(m.Dir, link); err != nil {
		t.Fatal(err)
	}
	linked := m.Config
	linked.Dir = link
	if report, err = Restore(linked); err != nil || report.Aside != m.Dir+".before-restore-3" {
		t.Fatalf("through a link: %+v, %v", report, err)
	}
	m.whole(t, size)
	if diff := cmp.Diff([]string{"master", "master.before-restore-1", "master.before-restore-2", "master.before-restore-3"}, m.beside(t)); diff != "" {
		t.Error(diff)
	}
}

// refused checks that a restore fails in these words, and changes nothing.
func (m made) refused(t *testing.T, name string, c Config, says ...string) {
	t.Helper()
	before, beside := tree(t, m.Dir), m.beside(t)
	_, err := Restore(c)
	for _, want := range says {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
	if err == nil || strings.Contains(err.Error(), "keys\n") {
		t.Errorf("%s: %v", name, err)
	}
	if diff := cmp.Diff(before, tree(t, m.Dir)); diff != "" {
		t.Errorf("%s: it changed %s", name, diff)
	}
	if diff := cmp.Diff(beside, m.beside(t)); diff != "" {
		t.Errorf("%s: beside it %s", name, diff)
	}
}

// Whatever is wrong with a backup or its key is found before anything is changed.
func TestBackupsThatAreNone(t *testing.T) {
	m := save(t, 150_000)
	m.old(t)
	other := save(t, 1)
	wrong := m.Config
	wrong.KeyFile = other.KeyFile
	m.refused(t, "another key", wrong, m.Backup, "it opens with another recovery key", other.KeyFile, "find the recovery key that the cluster had")
	wrong.KeyFile = m.Backup
	m.refused(t, "no key", wrong, "--recovery-key: ", "a recovery key has fewer than")
	wrong.KeyFile = filepath.Join(m.Dir, "nothing")
	m.refused(t, "no key file", wrong, "--recovery-key: ", "no such file")
	wrong = m.Config
	wrong.Backup = m.Dir + "/none"
	m.refused(t, "no backup", wrong, "none: no such file")

	bad := m.Config
	bad.Backup = filepath.Join(t.TempDir(), "bad")
	try := func(name string, data []byte, says ...string) {
		t.Helper()
		m.write(t, bad.Backup, string(data))
		m.refused(t, name, bad, append(says, bad.Backup)...)
	}
	for at := 0; at < len(m.data); at += 1 + at/20 {
		changed := bytes.Clone(m.data)
		changed[at] ^= 1 << (at % 8)
		try(fmt.Sprintf("changed at %d", at), changed)
		try(fmt.Sprintf("cut at %d", at), m.data[:at], "cut off or was changed", "take another copy")
	}
	version := bytes.Clone(m.data)
	version[7] = 2
	try("of the future", version, "it is of another version of Skerry", "or a newer one")
	try("something else", bytes.Repeat([]byte("GIF89a"), 100), "does not begin as a backup")
	lacking := save(t, 5, recovery.File{Name: "a", Data: []byte("a")})
	lacking.old(t)
	lacking.refused(t, "without the cluster's keys", lacking.Config, "it lacks the cluster's keys", "nothing was changed")
	twice := save(t, 5, recovery.File{Name: "state.db"}, recovery.File{Name: "cluster.pem"})
	twice.old(t)
	twice.refused(t, "with another store among the keys", twice.Config, "file exists")
}

// A directory that a master uses, or that is none of a master's, is left alone.
func TestDirectoriesThatAreLeftAlone(t *testing.T) {
	m := save(t, 5)
	m.old(t)
	lock, err := os.OpenFile(filepath.Join(m.Dir, lockFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	m.refused(t, "a master runs", m.Config, "--data-dir "+m.Dir, "a skerry-master uses it; stop it first")

	home := save(t, 5)
	home.write(t, filepath.Join(home.Dir, "letter.txt"), "dear")
	home.refused(t, "somebody's home", home.Config, "none of a master")

	file := save(t, 5)
	file.write(t, file.Dir, "a file")
	file.refused(t, "a file", file.Config, "not a directory")
}

// A disk without room leaves what was there, and no half of what was to come.
func TestRestoreOnAFullDisk(t *testing.T) {
	dir := fulldisk.Mount(t, 1<<20)
	m := save(t, 3<<20)
	m.Dir = filepath.Join(dir, "master")
	m.old(t)
	m.refused(t, "a full disk", m.Config, "the store alone takes 3145728 bytes; free space there", "nothing was changed")

	mounted := save(t, 5)
	mounted.Dir = fulldisk.Mount(t, 1<<20)
	mounted.old(t)
	mounted.refused(t, "a mount point", mounted.Config, "it is a mount point", "a directory below it")
}
