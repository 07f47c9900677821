package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	bbolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/skerry-edge/skerry/master/change"
)

// errCorrupt is wrapped by the errors of a file whose content can't be trusted.
var errCorrupt = errors.New("the file is corrupt")

// contents is a file read whole.
type contents struct {
	position
	records []change.Record
	format  byte
	astray  bool // something stands in plain that should not, or the other way round
}

// needsRewrite reports whether the file has to be written anew before it is used.
func (c contents) needsRewrite() bool { return c.format < formatNumber || c.astray }

// load reads all that a file holds and checks every byte of it that is in use, without writing to it. The
// records are kept if asked for. A file that is not sound is an error that wraps errCorrupt, however bbolt takes
// it: it panics on bad pages, and the kernel raises SIGBUS where a mapped file is shorter than it says. What is encrypted is
// decrypted only if it is kept.
func load(path string, s sealing, keep bool) (c contents, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return contents{}, err
	}
	if info.Size() == 0 { // bbolt would take it for a new one
		return contents{}, fmt.Errorf("%w: it is empty", errCorrupt)
	}
	defer whenCorrupt(&err)()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return contents{}, openError(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: it is cut off after %d of %d bytes", errCorrupt, info.Size(), tx.Size())
		}
		return c.read(tx, s, keep)
	})
	return c, err
}

func (c *contents) read(tx *bbolt.Tx, s sealing, keep bool) error {
	format := tx.Bucket(formatBucket)
	if format == nil {
		return fmt.Errorf("%w: it says nothing of its format", errCorrupt)
	}
	number := format.Get(formatKey)
	if len(number) != 1 || number[0] < plainFormat || number[0] > formatNumber {
		return fmt.Errorf("format %v is not known here: use the skerry-master that wrote it, or a newer one", number)
	}
	c.format = number[0]
	var ok bool
	if c.position, ok = getPosition(tx); !ok {
		return fmt.Errorf("%w: it says nothing of its revision", errCorrupt)
	}
	settings, objects, secret := tx.Bucket(settingsBucket), tx.Bucket(objectsBucket), tx.Bucket(sealedBucket)
	if settings == nil || objects == nil || secret == nil && c.format > plainFormat {
		return fmt.Errorf("%w: a bucket is missing", errCorrupt)
	}
	err := eachSetting(tx, func(name, content []byte) error {
		if !keep || c.format == plainFormat {
			return nil
		}
		_, err := s.openSetting(name, content)
		return err
	})
	if err == nil {
		err = c.readKinds(objects, false, s, keep)
	}
	if err == nil && secret != nil {
		err = c.readKinds(secret, true, s, keep)
	}
	return err
}

// readKinds reads the buckets of kinds that are, or are not, encrypted.
func (c *contents) readKinds(objects *bbolt.Bucket, encrypted bool, s sealing, keep bool) error {
	return objects.ForEachBucket(func(name []byte) error {
		kind := change.Kind(name)
		return objects.Bucket(name).ForEach(func(key, stored []byte) error {
			if !recordSound(key, stored) {
				return fmt.Errorf("%w: %s %q has changed by itself", errCorrupt, kind, key)
			}
			c.astray = c.astray || s.kinds[kind] != encrypted
			if !keep {
				return nil
			}
			rec := decodeRecord(kind, key, stored)
			if encrypted {
				var err error
				if rec, err = s.open(rec, key); err != nil {
					return err
				}
			}
			c.records = append(c.records, rec)
			return nil
		})
	})
}

// eachSetting yields the settings, whose checksums are right, as they are stored.
func eachSetting(tx *bbolt.Tx, yield func(name, content []byte) error) error {
	return tx.Bucket(settingsBucket).ForEach(func(name, stored []byte) error {
		content, ok := unseal(name, stored)
		if !ok {
			return fmt.Errorf("%w: setting %q has changed by itself", errCorrupt, name)
		}
		return yield(name, content)
	})
}

// eachRecord yields the records of a file that is sound, decrypted.
func eachRecord(tx *bbolt.Tx, s sealing, yield func(change.Record) error) error {
	for _, top := range [][]byte{objectsBucket, sealedBucket} {
		objects := tx.Bucket(top)
		if objects == nil {
			continue // of the plain format
		}
		err := objects.ForEachBucket(func(name []byte) error {
			return objects.Bucket(name).ForEach(func(key, stored []byte) (err error) {
				rec := decodeRecord(change.Kind(name), key, stored)
				if bytes.Equal(top, sealedBucket) {
					if rec, err = s.open(rec, key); err != nil {
						return err
					}
				}
				return yield(rec)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openError tells a file that isn't sound from one that can't be read: what bbolt itself complains of from what
// the system does.
func openError(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, bolterrors.ErrTimeout) || errors.Is(err, bolterrors.ErrVersionMismatch) {
		return err
	}
	return fmt.Errorf("%w: %w", errCorrupt, err)
}

// whenCorrupt, deferred as whenCorrupt(&err)(), turns a panic over a bad page or a fault in the mapped file
// into an error.
func whenCorrupt(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if problem := recover(); problem != nil {
			*err = fmt.Errorf("%w: %v", errCorrupt, problem)
		}
	}
}
