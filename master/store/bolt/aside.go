package bolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a data directory.
const (
	StateFile    = "state.db"
	snapshotFile = "snapshot.db"
	epochFile    = "epoch"
	asideSuffix  = ".new" // what a file is called until it is whole

	backupPattern = "backup-*" + asideSuffix // copies on their way to somebody
)

// place makes a file appear under path whole or not at all: fill writes it under another name, to which path
// is renamed when it is on the disk.
func place(path string, fill func(aside string) error) error {
	aside := path + asideSuffix
	if err := removeIfThere(aside); err != nil {
		return err
	}
	err := fill(aside)
	if err == nil {
		err = syncPath(aside)
	}
	if err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), removeIfThere(aside))
	}
	return syncPath(filepath.Dir(path))
}

// syncPath makes a file, or the names in a directory, durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// setAside renames a file to a name that is free, and returns it.
func setAside(path string) (string, error) {
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s.corrupt-%d", path, n)
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			if err := os.Rename(path, to); err != nil {
				return "", fmt.Errorf("set aside: %w", err)
			}
			return to, syncPath(filepath.Dir(path))
		} else if err != nil {
			return "", fmt.Errorf("set aside %s: %w", path, err)
		}
	}
}
