package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/keyring"
)

// sealing encrypts what is secret on its way into the file, and decrypts it on its way out.
type sealing struct {
	ring  *keyring.Ring // nil: there is no key file
	kinds map[change.Kind]bool
}

func keyFile(dir string) string { return filepath.Join(dir, keyring.FileName) }

// loadSealing reads the key file, which need not be there yet.
func loadSealing(config Config) (sealing, error) {
	s := sealing{kinds: config.Sealed}
	ring, err := keyring.Load(keyFile(config.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	s.ring = ring
	return s, err
}

// settingsName stands for a kind in what is authenticated with a setting; no kind has a space.
const settingsName = "a setting"

// sealedPlace says which value it is: sealed under one key, it opens under no other.
func sealedPlace(kind change.Kind, key []byte) []byte {
	return fmt.Appendf(nil, "skerry store\x00%s\x00%s", kind, key)
}

func (s sealing) bucket(tx *bbolt.Tx, kind change.Kind) *bbolt.Bucket {
	if s.kinds[kind] {
		return tx.Bucket(sealedBucket)
	}
	return tx.Bucket(objectsBucket)
}

// encodeRecord is a record as it stands in its bucket.
func (s sealing) encodeRecord(rec change.Record) (key, stored []byte) {
	key = objectKey(rec.Key)
	value := rec.Value
	if s.kinds[rec.Key.Kind] {
		value = s.ring.Seal(sealedPlace(rec.Key.Kind, key), value)
	}
	return key, seal(key, binary.BigEndian.AppendUint64(nil, uint64(rec.Rev)), value)
}

// open decrypts a value in place of its record.
func (s sealing) open(rec change.Record, key []byte) (change.Record, error) {
	value, err := s.decrypt(rec.Key.Kind, key, rec.Value)
	if err != nil {
		return change.Record{}, fmt.Errorf("%s: %w", rec.Key, err)
	}
	rec.Value = value
	return rec, nil
}

func (s sealing) decrypt(kind change.Kind, key, value []byte) ([]byte, error) {
	if s.ring == nil {
		return nil, keyring.ErrNoKey
	}
	return s.ring.Open(sealedPlace(kind, key), value)
}

// sealSetting is a setting as it stands in its bucket.
func (s sealing) sealSetting(name, value []byte) []byte {
	return seal(name, s.ring.Seal(sealedPlace(settingsName, name), value))
}

// openSetting decrypts a setting whose checksum is right.
func (s sealing) openSetting(name, content []byte) ([]byte, error) {
	value, err := s.decrypt(settingsName, name, content)
	if err != nil {
		return nil, fmt.Errorf("setting %q: %w", name, err)
	}
	return value, nil
}

// keyError says what a user can do about a value that does not open. The file is as it was.
func keyError(dir string, err error) error {
	switch {
	case errors.Is(err, keyring.ErrNoKey):
		return fmt.Errorf("%w; put back the key file %s that belongs to this store: nothing was changed", err, keyFile(dir))
	case errors.Is(err, keyring.ErrDamaged):
		return fmt.Errorf("%w; restore state.db from a backup: nothing was changed", err)
	}
	return err
}
