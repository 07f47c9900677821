package bolt

import (
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
}

// load reads all that a file holds and checks every byte of it that is in use, without writing to it. The
// records are kept if asked for. A file that is not sound is an error that wraps errCorrupt, however bbolt takes
// it: it panics on bad pages, and the kernel raises SIGBUS where a mapped file is shorter than it says.
func load(path string, keep bool) (c contents, err error) {
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
		return c.read(tx, keep)
	})
	return c, err
}

func (c *contents) read(tx *bbolt.Tx, keep bool) error {
	format := tx.Bucket(formatBucket)
	if format == nil {
		return fmt.Errorf("%w: it says nothing of its format", errCorrupt)
	}
	if number := format.Get(formatKey); len(number) != 1 || number[0] != formatNumber {
		return fmt.Errorf("format %v is not known here: use the skerry-master that wrote it, or a newer one", number)
	}
	var ok bool
	if c.position, ok = getPosition(tx); !ok {
		return fmt.Errorf("%w: it says nothing of its revision", errCorrupt)
	}
	settings, objects := tx.Bucket(settingsBucket), tx.Bucket(objectsBucket)
	if settings == nil || objects == nil {
		return fmt.Errorf("%w: a bucket is missing", errCorrupt)
	}
	err := settings.ForEach(func(name, stored []byte) error {
		if _, ok := unseal(name, stored); !ok {
			return fmt.Errorf("%w: setting %q has changed by itself", errCorrupt, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return objects.ForEachBucket(func(name []byte) error {
		kind := change.Kind(name)
		return objects.Bucket(name).ForEach(func(key, stored []byte) error {
			if !recordSound(key, stored) {
				return fmt.Errorf("%w: %s %q has changed by itself", errCorrupt, kind, key)
			}
			if keep {
				c.records = append(c.records, decodeRecord(kind, key, stored))
			}
			return nil
		})
	})
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
