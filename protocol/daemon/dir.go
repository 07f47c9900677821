package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skerry-edge/skerry/protocol/ballast"
)

// MakeDir creates the data directory (mode 0700) if need be, and makes sure that this process may write there.
// The error says what to do.
func MakeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return dirError(dir, err)
	}
	probe, err := os.CreateTemp(dir, ".probe.*")
	if ballast.IsFull(err) {
		return nil // whoever writes there has room reserved, or says what it could not write
	}
	if err != nil {
		return dirError(dir, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func dirError(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("--data-dir %s: no permission to write there; run as root, or choose another directory", dir)
	}
	return fmt.Errorf("--data-dir %s: %w; choose another directory", dir, plainPathError(err))
}

// WriteFile replaces a file as one step that a power cut can't halve: written aside, synced, renamed.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	aside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(aside.Name()) // does nothing once it is renamed
	_, err = aside.Write(data)
	err = errors.Join(err, aside.Chmod(mode), aside.Sync(), aside.Close())
	if err == nil {
		err = os.Rename(aside.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
