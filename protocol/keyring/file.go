package keyring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FileName is what a key file is called in a data directory.
const FileName = "secrets.key"

const maxFile = 64 << 10

// Load reads a key file. Errors wrap fs.ErrNotExist when there is none, and name the file.
func Load(path string) (*Ring, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	r, err := decode(path, text)
	if err != nil {
		return nil, fmt.Errorf("the key file %s is unusable (%w); put it back from where you keep a copy", path, err)
	}
	return r, nil
}

// LoadOrMake reads a key file, or makes it when there is none and nothing was sealed under it before. The error says
// what needs the file otherwise.
func LoadOrMake(path string, sealed bool) (*Ring, error) {
	r, err := Load(path)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return r, err
	case sealed:
		return nil, Missing(path)
	}
	if r, err = New(path); err != nil {
		return nil, err
	}
	return r, r.Keep()
}

// Missing is the error of a key file that is not there, though something was sealed under its keys.
func Missing(path string) error {
	return fmt.Errorf("%w: the key file %s is missing; put it back from where you keep a copy", ErrNoKey, path)
}

// Keep replaces the file by what the Ring has: as a whole or not at all.
func (r *Ring) Keep() error {
	if err := r.keep(); err != nil {
		return fmt.Errorf("write the key file %s: %w", r.path, err)
	}
	return nil
}

func (r *Ring) keep() error {
	aside := r.path + ".new"
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(r.encode())
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(aside, r.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	dir, err := os.Open(filepath.Dir(r.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
