package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterr "go.etcd.io/bbolt/errors"

	"github.com/skerry-edge/skerry/protocol/ballast"
)

// errCorrupt marks a database that can't be read.
var errCorrupt = errors.New("the agent's database is damaged")

// openFile opens the database, and makes an empty one if there is none.
func (d *Disk) openFile(path string, timeout time.Duration) (*bolt.DB, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := d.save(func() error { return createFile(path, timeout) }); err != nil {
			return nil, err
		}
	}
	db, err := openBolt(path, timeout)
	if err != nil {
		return nil, err
	}
	if err := readAll(db); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", errCorrupt, path, err), db.Close())
	}
	if err := ballast.Allocate(path, allocated); err != nil {
		d.log.Debug().Err(err).Msg("the agent's database has no blocks of its own; it takes them as it grows")
	}
	return db, nil
}

// createFile makes an empty database aside and moves it to its place, so that a power cut leaves a whole one
// or none.
func createFile(path string, timeout time.Duration) error {
	aside := path + ".new"
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create the agent's database: %w", err)
	}
	db, err := openBolt(aside, timeout)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{nodeBucket, contentBucket, recordBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("create the agent's database: %w", err)
	}
	if err := os.Rename(aside, path); err != nil {
		return fmt.Errorf("create the agent's database: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// openBolt opens a bbolt file and says in the user's words why it can't.
func openBolt(path string, timeout time.Duration) (db *bolt.DB, err error) {
	defer func() {
		if cause := recover(); cause != nil { // bbolt panics on some damage
			err = fmt.Errorf("%w: %s: %v", errCorrupt, path, cause)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a map beyond the end of a cut-off file faults
	db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: timeout, FreelistType: bolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterr.ErrTimeout):
		return nil, fmt.Errorf("data directory %s is in use by another skerry-agent: stop it, or choose another --data-dir", filepath.Dir(path))
	case errors.Is(err, bolterr.ErrInvalid), errors.Is(err, bolterr.ErrChecksum), errors.Is(err, bolterr.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %s: %w", errCorrupt, path, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("no permission to open %s: run as root, or choose another --data-dir", path)
	case err != nil:
		if info, statErr := os.Stat(path); statErr == nil && info.Size() < int64(4*os.Getpagesize()) {
			return nil, fmt.Errorf("%w: %s: %w", errCorrupt, path, err) // cut off within its first pages
		}
		return nil, fmt.Errorf("open the agent's database: %w", err)
	}
	return db, nil
}

// readAll reads every key and value once: better to find damage now than while a pod waits.
func readAll(db *bolt.DB) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("read: %v", cause)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return db.View(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{nodeBucket, contentBucket, recordBucket} {
			bucket := tx.Bucket(name)
			if bucket == nil {
				return fmt.Errorf("bucket %q is missing", name)
			}
			var sum byte
			err := bucket.ForEach(func(key, value []byte) error {
				for _, b := range value {
					sum ^= b
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// setAside renames a damaged database to a name that is free and returns it.
func setAside(path string) (string, error) {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", path, n)
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			if err := os.Rename(path, aside); err != nil {
				return "", err
			}
			return aside, syncDir(filepath.Dir(path))
		}
	}
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}
