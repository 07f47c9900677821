package restore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// place is the directory that is meant, whose parent is there.
func place(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		return real, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return dir, permission(os.MkdirAll(filepath.Dir(dir), 0o755))
}

// taken is a data directory that no master uses, or can begin to use.
type taken struct {
	there bool
	empty bool
	epoch uint32 // its newest term
	lock  *os.File
}

func (t taken) release() {
	if t.lock != nil {
		t.lock.Close()
	}
}

// take sees to it that a directory is a master's, or empty, or not there, and that no master runs in it.
func take(dir string) (t taken, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return taken{}, nil
	}
	if err != nil {
		return taken{}, permission(err)
	}
	if len(entries) == 0 {
		return taken{there: true, empty: true}, nil
	}
	known := false
	for _, e := range entries {
		known = known || e.Name() == lockFile || e.Name() == identityFile || e.Name() == stateFile
	}
	if !known {
		return taken{}, errors.New("it has files, but none of a master; name the master's data directory, or one that is not there yet")
	}
	t = taken{there: true}
	if t.epoch, err = readTerm(filepath.Join(dir, epochFile)); err != nil {
		return taken{}, permission(err)
	}
	t.lock, err = os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) { // no master has run here since somebody tidied up
		return t, nil
	}
	if err != nil {
		return taken{}, permission(err)
	}
	err = syscall.Flock(int(t.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("a skerry-master uses it; stop it first (systemctl stop skerry-master)")
	}
	if err != nil {
		t.release()
		return taken{}, err
	}
	return t, nil
}

// readTerm is 0 when the file is missing or makes no sense.
func readTerm(path string) (term uint32, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(string(text), "%d.", &term); err != nil {
		return 0, nil
	}
	return term, nil
}

// swap puts fresh in the place of dir, and returns where what was there is now. From the moment that they are swapped
// the name of fresh stands for what was there: it is never removed but where it is empty.
func swap(fresh, dir string, held taken) (aside string, err error) {
	parent := filepath.Dir(dir)
	if held.there {
		err = exchange(fresh, dir)
	} else {
		err = os.Rename(fresh, dir)
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(fresh))
	}
	if !held.there {
		return "", syncDir(parent)
	}
	if held.empty {
		return "", errors.Join(os.Remove(fresh), syncDir(parent))
	}
	for n := 1; ; n++ {
		aside = fmt.Sprintf("%s.before-restore-%d", dir, n)
		err := unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, aside, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("the backup is in place, and what was there is in %s, which could not be renamed: %w", fresh, err)
		}
		return aside, syncDir(parent)
	}
}

// exchange swaps two directories in one step, so that a power cut never leaves a machine without either: its master
// would begin a cluster of its own.
func exchange(fresh, dir string) error {
	err := unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EXDEV):
		return errors.New("it is a mount point, which can't be swapped as a whole; give the master a directory below it, and name that")
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("this file system can't swap two directories (%w); rename %s yourself, and restore again", err, dir)
	}
	return err
}
