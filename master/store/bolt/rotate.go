package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/skerry-edge/skerry/protocol/keyring"
)

// Rotate encrypts the secrets of a directory, which no master uses meanwhile, under a new key, and drops the old ones
// from the key file. It may be interrupted at any moment: the key file has every key that anything is encrypted under,
// and rotating again ends what was begun.
func Rotate(config Config) error { return rotate(config, func(string) {}) }

// rotate tells at what comes next, whenever a power cut would find something else than before.
func rotate(config Config, at func(moment string)) error {
	path, snapshot := filepath.Join(config.Dir, StateFile), filepath.Join(config.Dir, snapshotFile)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("there is no store in %s: %w", config.Dir, err)
	}
	if config.LockTimeout == 0 {
		config.LockTimeout = 2 * time.Second
	}
	lock, err := lockDir(config.Dir, config.LockTimeout)
	if err != nil {
		return err
	}
	defer lock.Close()
	s, err := loadSealing(config)
	if err != nil {
		return err
	}
	if s.ring == nil {
		return keyring.Missing(keyFile(config.Dir))
	}
	db, held, err := openChecked(path, s)
	if err != nil {
		return keyError(config.Dir, err)
	}
	if s.ring, err = s.ring.Renewed(); err == nil {
		at("before the key file gets the new key")
		err = s.ring.Keep()
	}
	if err == nil {
		err = rewrite(db, path, s, at)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return diskError(config, err)
	}
	if _, err := os.Stat(snapshot); err == nil {
		at("before the snapshot is replaced")
		if err := place(snapshot, func(aside string) error { return copyFile(path, aside) }); err != nil {
			return diskError(config, err)
		}
	}
	s.ring = s.ring.Newest()
	for _, file := range []string{path, snapshot} {
		found, err := load(file, s, true)
		if errors.Is(err, fs.ErrNotExist) && file == snapshot {
			continue
		}
		if err == nil && len(found.records) != len(held.records) {
			err = fmt.Errorf("it has %d objects instead of %d", len(found.records), len(held.records))
		}
		if err != nil {
			return fmt.Errorf("read back %s: %w; the old keys are kept", file, err)
		}
	}
	at("before the key file loses the old keys")
	return s.ring.Keep()
}
