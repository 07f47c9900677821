package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// LockDir creates the data directory (mode 0700) if need be and takes it for this process, until the process
// ends or close is called. The error says who has it, or what to do.
func LockDir(program, dir string) (close func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, dirError(dir, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, dirError(dir, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, dirError(dir, err)
		}
		var pid [20]byte
		n, _ := file.Read(pid[:])
		return nil, fmt.Errorf("--data-dir %s: another %s (pid %s) uses it; stop that one, or give this one a directory of its own",
			dir, program, strings.TrimSpace(string(pid[:n])))
	}
	// For the message above only: losing it in a power cut does no harm.
	if err := errors.Join(file.Truncate(0), writeString(file, fmt.Sprintln(os.Getpid()))); err != nil {
		file.Close()
		return nil, dirError(dir, err)
	}
	return func() { file.Close() }, nil
}

func writeString(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

func dirError(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("--data-dir %s: no permission to write there; run as root, or choose another directory", dir)
	}
	return fmt.Errorf("--data-dir %s: %w", dir, plainPathError(err))
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
