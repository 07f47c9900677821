package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
)

// rewrite writes a file anew, each value as it should stand there: encrypted under the first key or not at all.
// Nothing of the old file's pages is in the new one. at is told of the moments at which a power cut would find
// something else.
func rewrite(from *bbolt.DB, path string, s sealing, at func(moment string)) error {
	return place(path, func(aside string) error {
		at("before " + filepath.Base(path) + " is written")
		to, err := bbolt.Open(aside, 0o600, &bbolt.Options{Timeout: time.Second, NoFreelistSync: true})
		if err != nil {
			return err
		}
		err = from.View(func(tx *bbolt.Tx) error { return copyAll(tx, to, s) })
		err = errors.Join(err, to.Close())
		at("before " + filepath.Base(path) + " is replaced")
		return err
	})
}

// batches writes in transactions that don't become too large for the memory.
type batches struct {
	db   *bbolt.DB
	tx   *bbolt.Tx
	size int
}

func (b *batches) put(size int, put func(tx *bbolt.Tx) error) (err error) {
	if b.tx == nil {
		if b.tx, err = b.db.Begin(true); err != nil {
			return err
		}
	}
	if err := put(b.tx); err != nil {
		return errors.Join(err, b.tx.Rollback())
	}
	if b.size += size; b.size < compactFrom {
		return nil
	}
	return b.commit()
}

func (b *batches) commit() error {
	tx := b.tx
	b.tx, b.size = nil, 0
	if tx == nil {
		return nil
	}
	return tx.Commit()
}

func copyAll(from *bbolt.Tx, to *bbolt.DB, s sealing) error {
	var c contents
	if err := c.read(from, s, false); err != nil { // it is sound
		return err
	}
	out := &batches{db: to}
	err := out.put(0, func(tx *bbolt.Tx) error {
		if err := initialise(tx); err != nil {
			return err
		}
		return c.position.put(tx)
	})
	if err != nil {
		return err
	}
	err = eachSetting(from, func(name, content []byte) error {
		value, err := content, error(nil)
		if c.format > plainFormat {
			if value, err = s.openSetting(name, content); err != nil {
				return err
			}
		}
		return out.put(len(value), func(tx *bbolt.Tx) error {
			return tx.Bucket(settingsBucket).Put(name, s.sealSetting(name, value))
		})
	})
	if err != nil {
		return err
	}
	err = eachEntry(from, func(key, stored []byte) error {
		return out.put(len(stored), func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(journalBucket)
			if err != nil {
				return err
			}
			return b.Put(key, stored)
		})
	})
	if err != nil {
		return err
	}
	err = eachRecord(from, s, func(rec change.Record) error {
		return out.put(len(rec.Value), func(tx *bbolt.Tx) error { return putRecord(tx, s, rec) })
	})
	if err != nil {
		return err
	}
	return out.commit()
}

func putRecord(tx *bbolt.Tx, s sealing, rec change.Record) error {
	b, err := s.bucket(tx, rec.Key.Kind).CreateBucketIfNotExists([]byte(rec.Key.Kind))
	if err != nil {
		return err
	}
	return b.Put(s.encodeRecord(rec))
}

// encrypt brings a file of an earlier version, or one from before a kind was secret, into the form of today. It takes
// db and returns the one to go on with; nil if there is none.
func encrypt(db *bbolt.DB, path string, s sealing) (*bbolt.DB, error) {
	if err := rewrite(db, path, s, func(string) {}); err != nil {
		return db, fmt.Errorf("encrypt the secrets in %s: %w", path, err)
	}
	if err := db.Close(); err != nil {
		return nil, fmt.Errorf("close %s: %w", path, err)
	}
	db, _, err := openChecked(path, s)
	return db, err
}

// replaceSnapshot puts a copy of db in the place of a snapshot with secrets that are not encrypted.
func replaceSnapshot(db *bbolt.DB, path string, s sealing) error {
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	held, err := load(path, s, false)
	if err != nil || !held.needsRewrite() { // one that can't be read is replaced within a day anyway
		return nil
	}
	err = place(path, func(aside string) error {
		return db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(aside, 0o600) })
	})
	if err != nil {
		return fmt.Errorf("replace the snapshot of before the secrets were encrypted: %w", err)
	}
	return nil
}
