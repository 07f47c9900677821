package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/protocol/keyring"
	"github.com/skerry-edge/skerry/protocol/message"
)

// What is encrypted, each bound to its place.
var (
	contentPlace  = []byte("skerry agent\x00desired state")
	identityPlace = []byte("skerry agent\x00identity")

	// sealedIdentity is what the file begins with; those of versions that encrypted nothing begin otherwise.
	sealedIdentity = []byte("skerry sealed 1\n")
)

// makeSecret reads the key file, or makes it if nothing was encrypted so far, and encrypts what is not.
func (d *Disk) makeSecret(path string, timeout time.Duration) error {
	identity, err := d.readIdentity()
	if err != nil {
		return fmt.Errorf("read the node's identity: %w", err)
	}
	var content, plain bool
	err = d.db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(contentBucket)
		content, plain = bucket.Get(sealedKey) != nil, bucket.Get(contentKey) != nil
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the desired state: %w", err)
	}
	keyFile := filepath.Join(d.dir, keyring.FileName)
	known := bytes.HasPrefix(identity, sealedIdentity)
	err = d.save(func() (err error) {
		d.ring, err = keyring.LoadOrMake(keyFile, known || content)
		return err
	})
	if err != nil {
		return d.keyError("what is secret", err)
	}
	if identity != nil && !known {
		err = d.save(func() error { return d.replaceIdentity(identity) })
	}
	if err == nil && plain {
		err = d.encrypt(path, timeout)
	}
	if err != nil {
		return fmt.Errorf("encrypt what is secret in %s: %w", d.dir, err)
	}
	return nil
}

// openContent decrypts the content of the desired state; nil if there is none.
func (d *Disk) openContent(sealed []byte) ([]byte, error) {
	if sealed == nil {
		return nil, nil
	}
	return d.ring.Open(contentPlace, sealed)
}

// keyError says what to do when the key of something is gone.
func (d *Disk) keyError(what string, err error) error {
	return fmt.Errorf("--data-dir %s: %s can't be read: %w; if there is no copy, remove identity, %s and %s there, and join again with --join",
		d.dir, what, err, fileName, keyring.FileName)
}

// encrypt writes the database of a version that encrypted nothing anew, so that nothing of it stays in free pages.
func (d *Disk) encrypt(path string, timeout time.Duration) error {
	aside := path + ".new"
	err := d.save(func() error {
		if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		to, err := openBolt(aside, timeout)
		if err != nil {
			return err
		}
		err = d.db.View(func(from *bolt.Tx) error {
			return to.Update(func(tx *bolt.Tx) error { return d.copyEncrypted(from, tx) })
		})
		return errors.Join(err, to.Close())
	})
	if err != nil {
		return err
	}
	if err := errors.Join(d.db.Close(), os.Rename(aside, path), syncDir(d.dir)); err != nil {
		return err
	}
	db, err := d.openFile(path, timeout)
	if err == nil {
		d.db = db
	}
	return err
}

func (d *Disk) copyEncrypted(from, to *bolt.Tx) error {
	return from.ForEach(func(name []byte, bucket *bolt.Bucket) error {
		into, err := to.CreateBucketIfNotExists(name)
		if err != nil {
			return err
		}
		return bucket.ForEach(func(key, value []byte) error {
			switch {
			case bytes.Equal(name, nodeBucket) && bytes.Equal(key, digestKey):
				return nil
			case bytes.Equal(name, contentBucket) && bytes.Equal(key, contentKey):
				digest, err := load[message.Digest](from.Bucket(nodeBucket), digestKey)
				if err != nil || digest != message.DigestOf(value) {
					return nil // it is damaged: begin finds that there is none
				}
				return into.Put(sealedKey, d.ring.Seal(contentPlace, value))
			}
			return into.Put(key, value)
		})
	})
}
