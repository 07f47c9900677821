package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

// The journal says which objects differ here from the other store, because it was away when they were written: one
// entry an object, in the transaction that writes it. It grows with the objects, not with the writes, however long the
// other store is away.
//
//	kind 00 namespace 00 name → crc 4, replaced 8, newest 8, flags 1, then, where a user wrote it: time 8, reason
const (
	entrySize  = revSize + revSize + 1
	userFlag   = 1
	unsureFlag = 2

	maxBy = 200 // bytes of the reason
)

func journalKey(k change.Key) []byte {
	return append(append([]byte(k.Kind), 0), objectKey(k)...)
}

func putEntry(b *bbolt.Bucket, e store.Entry) error {
	key := journalKey(e.Key)
	flags := []byte{0}
	if e.User {
		flags[0] = userFlag
	}
	if e.Unsure {
		flags[0] |= unsureFlag
	}
	content := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(e.Replaced)), uint64(e.Newest))
	said := append(binary.BigEndian.AppendUint64(nil, uint64(e.At)), e.By[:min(len(e.By), maxBy)]...)
	return b.Put(key, seal(key, content, flags, said))
}

func parseEntry(key, stored []byte) (store.Entry, error) {
	content, sound := unseal(key, stored)
	parts := bytes.SplitN(key, []byte{0}, 3)
	if !sound || len(content) < entrySize || len(parts) != 3 {
		return store.Entry{}, fmt.Errorf("%w: entry %q of the journal has changed by itself", errCorrupt, key)
	}
	e := store.Entry{
		Key:      change.Key{Kind: change.Kind(parts[0]), Namespace: string(parts[1]), Name: string(parts[2])},
		Replaced: change.Rev(binary.BigEndian.Uint64(content)),
		Newest:   change.Rev(binary.BigEndian.Uint64(content[revSize:])),
		User:     content[2*revSize]&userFlag != 0,
		Unsure:   content[2*revSize]&unsureFlag != 0,
	}
	if said := content[entrySize:]; len(said) >= revSize {
		e.At, e.By = int64(binary.BigEndian.Uint64(said)), string(said[revSize:])
	}
	return e, nil
}

// eachEntry yields the journal as it is stored.
func eachEntry(tx *bbolt.Tx, yield func(key, stored []byte) error) error {
	b := tx.Bucket(journalBucket)
	if b == nil {
		return nil
	}
	return b.ForEach(yield)
}

// journal notes the objects of a batch that the other store has not got, or may have.
func (s *Store) journal(tx *bbolt.Tx, batch store.Batch, unsure bool) error {
	b, err := tx.CreateBucketIfNotExists(journalBucket)
	if err != nil {
		return err
	}
	for _, commit := range batch.Commits {
		for _, e := range commit.Events {
			entry := store.Entry{Key: e.Key, Replaced: e.Old.Rev}
			if stored := b.Get(journalKey(e.Key)); stored != nil {
				if entry, err = parseEntry(journalKey(e.Key), stored); err != nil {
					return err
				}
			}
			entry.Newest, entry.Unsure = e.Rev, entry.Unsure || unsure
			if s.config.UserWrite == nil || s.config.UserWrite(e) {
				entry.User, entry.By = true, commit.Reason
				if s.config.Clock != nil {
					entry.At = s.config.Clock().Wall.Unix()
				}
			}
			if err := putEntry(b, entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// Journal is all that the other store has not got, oldest write first.
func (s *Store) Journal() ([]store.Entry, error) {
	var out []store.Entry
	err := s.db.View(func(tx *bbolt.Tx) error {
		return eachEntry(tx, func(key, stored []byte) error {
			entry, err := parseEntry(key, stored)
			out = append(out, entry)
			return err
		})
	})
	if err != nil {
		return nil, closedError(err)
	}
	slices.SortFunc(out, func(a, b store.Entry) int {
		switch {
		case a.Newest != b.Newest && a.Newest < b.Newest:
			return -1
		case a.Newest != b.Newest:
			return 1
		}
		return bytes.Compare(journalKey(a.Key), journalKey(b.Key))
	})
	return out, nil
}

// Settle takes entries off the journal that the other store has got by now. One that was written again meanwhile stays,
// and replaces what was pushed.
func (s *Store) Settle(pushed []store.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(journalBucket)
		if b == nil {
			return nil
		}
		for _, p := range pushed {
			key := journalKey(p.Key)
			stored := b.Get(key)
			if stored == nil {
				continue
			}
			entry, err := parseEntry(key, stored)
			if err != nil {
				return err
			}
			if entry.Newest == p.Newest { // it was not written again
				err = b.Delete(key)
			} else {
				entry.Replaced = p.Newest
				err = putEntry(b, entry)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("settle the journal: %w", closedError(s.diskError(err)))
	}
	return nil
}

// Doubt notes that the other store may get these entries now, whatever is heard of it.
func (s *Store) Doubt(entries []store.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(journalBucket)
		for _, e := range entries {
			key := journalKey(e.Key)
			if b == nil || b.Get(key) == nil {
				continue
			}
			entry, err := parseEntry(key, b.Get(key))
			if err != nil {
				return err
			}
			entry.Unsure = true
			if err := putEntry(b, entry); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note what is pushed: %w", closedError(s.diskError(err)))
	}
	return nil
}
