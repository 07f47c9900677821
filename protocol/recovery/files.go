package recovery

import (
	"encoding/json"
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

// NoteFile, in a data directory that was made of a backup, says of which one, until the master has told its users.
const NoteFile = "restored.json"

// Note writes it.
func (i Info) Note(dir string) error {
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return placeFile(dir, NoteFile, text)
}

// ReadNote reads it. The error wraps fs.ErrNotExist when there is none.
func ReadNote(dir string) (i Info, err error) {
	file, err := os.Open(filepath.Join(dir, NoteFile))
	if err != nil {
		return Info{}, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxInfo))
	if err == nil {
		err = json.Unmarshal(text, &i)
	}
	return i, err
}

// Place writes the key files into a directory that has none of them, mode 0600, and syncs each.
func (b Bundle) Place(dir string) error {
	if err := b.check(); err != nil {
		return err
	}
	for _, f := range b.Files {
		if err := placeFile(dir, f.Name, f.Data); err != nil {
			return err
		}
	}
	return nil
}

func placeFile(dir, name string, data []byte) error {
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}
