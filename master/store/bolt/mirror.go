package bolt

import (
	"context"
	"fmt"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

// Between does something while no batch is on its way: what was committed before is durable, what comes after waits.
// It must not commit by itself.
func (s *Store) Between(do func() error) error { return s.between(context.Background(), do) }

// Settled waits until the batch that is on its way when it is called is shown or refused.
func (s *Store) Settled(ctx context.Context) error {
	return s.between(ctx, func() error { return nil })
}

func (s *Store) between(ctx context.Context, do func() error) error {
	c := &call{do: do, done: make(chan result, 1)}
	select {
	case s.calls <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return store.ErrClosed
	}
	select {
	case r := <-c.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
	}
	select {
	case r := <-c.done:
		return r.err
	default:
		return store.ErrClosed
	}
}

// AdvanceAfter is Advance between two batches, beyond what decide says there: no write comes in between.
func (s *Store) AdvanceAfter(decide func() (beyond change.Epoch, err error)) error {
	return s.Between(func() error {
		beyond, err := decide()
		if err != nil || beyond.Less(s.core.Epoch()) {
			return err
		}
		return s.begin(beyond.Next())
	})
}

// Lead says whether this master's own writes are taken. It returns when what was being written is done.
func (s *Store) Lead(leads bool) error {
	if !leads {
		s.follows.Store(true)
	}
	return s.Between(func() error { s.follows.Store(!leads); return nil })
}

// Position is the revision of the newest durable write.
func (s *Store) Position() (rev change.Rev, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		p, _ := getPosition(tx)
		rev = p.rev
		return nil
	})
	return rev, closedError(err)
}

// Mirror makes another master's writes durable and shows them. The journal loses what it says of these objects, which
// are now as they are elsewhere.
func (s *Store) Mirror(m store.Mirror) error {
	return s.Between(func() error {
		if s.broken != nil {
			return s.broken
		}
		commit := s.core.ApplyMirror(m)
		err := s.update(func(tx *bbolt.Tx) error {
			journal := tx.Bucket(journalBucket)
			for _, e := range commit.Events {
				if err := s.putEvent(tx, e); err != nil {
					return err
				}
				if journal != nil {
					if err := journal.Delete(journalKey(e.Key)); err != nil {
						return err
					}
				}
			}
			return position{epoch: m.Rev.Epoch(), rev: m.Rev}.put(tx)
		})
		if err != nil {
			s.core.Revert()
			return fmt.Errorf("mirror revision %s: %w", m.Rev, closedError(s.diskError(err)))
		}
		shown := s.core.View().Rev()
		s.rev = m.Rev
		if m.Rev < shown || m.Rev == shown && len(commit.Events) > 0 {
			s.core.Turn()
		} else {
			s.core.Publish()
		}
		return nil
	})
}

// SealValue is a record's value as it may leave the machine, and OpenValue what it was: the secret kinds are encrypted,
// and bound to their kind and key, as they are in the file.
func (s *Store) SealValue(rec change.Record) []byte {
	if !s.sealing.kinds[rec.Key.Kind] {
		return rec.Value
	}
	return s.sealing.ring.Seal(sealedPlace(rec.Key.Kind, objectKey(rec.Key)), rec.Value)
}

// OpenValue is the inverse of SealValue. Its errors wrap those of package keyring.
func (s *Store) OpenValue(key change.Key, value []byte) ([]byte, error) {
	if !s.sealing.kinds[key.Kind] {
		return value, nil
	}
	opened, err := s.sealing.decrypt(key.Kind, objectKey(key), value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return opened, nil
}

// SealSetting and OpenSetting do the same to what is no object.
func (s *Store) SealSetting(name string, value []byte) []byte {
	return s.sealing.ring.Seal(sealedPlace(settingsName, []byte(name)), value)
}

// OpenSetting is the inverse of SealSetting.
func (s *Store) OpenSetting(name string, value []byte) ([]byte, error) {
	return s.sealing.decrypt(settingsName, []byte(name), value)
}

// Kinds are those of which there has ever been a durable object.
func (s *Store) Kinds() (kinds []change.Kind, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		for _, top := range [][]byte{objectsBucket, sealedBucket} {
			err := tx.Bucket(top).ForEachBucket(func(name []byte) error {
				kinds = append(kinds, change.Kind(name))
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return kinds, closedError(err)
}
