package recovery

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ReadKey reads the file in which somebody keeps a recovery key. Errors name the file, and never its content.
func ReadKey(path string) (Key, error) {
	file, err := os.Open(path)
	if err != nil {
		return Key{}, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxText+1))
	if err != nil {
		return Key{}, err
	}
	key, err := ParseKey(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// Place writes the key files into a directory that has none of them, mode 0600, and syncs each.
func (b Bundle) Place(dir string) error {
	if err := b.check(); err != nil {
		return err
	}
	for _, f := range b.Files {
		file, err := os.OpenFile(filepath.Join(dir, f.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = file.Write(f.Data)
		if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
			return err
		}
	}
	return nil
}
