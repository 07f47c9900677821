package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/ballast"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// When snapshots are taken: not before a new cluster has settled, and then at most one a day.
const (
	snapshotAfter = 5 * time.Minute
	snapshotEvery = 24 * time.Hour
	snapshotRetry = time.Hour
)

// snapshots is what Step remembers.
type snapshots struct {
	due  clock.Now // zero before the first Step
	last int       // bbolt's number of the transaction that the last one shows
}

// Run takes the daily snapshots until ctx ends. It returns an error when the store can't be written to any
// more and the process should start again.
func (s *Store) Run(ctx context.Context) error {
	for {
		now := s.config.Clock()
		next, err := s.Step(now)
		if err != nil {
			s.config.Logger.Error().Err(err).Msg("the daily snapshot of the store failed")
		}
		timer := time.NewTimer(next.Since(now))
		select {
		case <-timer.C:
		case <-s.failed:
			timer.Stop()
			return s.broken
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// Step takes a snapshot if one is due and anything has been written since the last, and says when to call
// again. After an error the next attempt is an hour later.
func (s *Store) Step(now clock.Now) (next clock.Now, err error) {
	if s.snap.due == (clock.Now{}) {
		s.snap.due = now.Add(s.firstSnapshot(now))
	}
	if !now.Reached(s.snap.due) {
		return s.snap.due, nil
	}
	written, err := s.transaction()
	if err == nil && written != s.snap.last {
		err = s.Keep()
	}
	if err != nil {
		s.snap.due = now.Add(snapshotRetry)
		return s.snap.due, err
	}
	s.snap.last = written
	s.snap.due = now.Add(snapshotEvery)
	return s.snap.due, nil
}

// firstSnapshot is how long after the start the first one is due. A file from the future has the right age
// and a wrong clock beside it, so it counts as new.
func (s *Store) firstSnapshot(now clock.Now) time.Duration {
	info, err := os.Stat(filepath.Join(s.config.Dir, snapshotFile))
	if err != nil {
		return snapshotAfter
	}
	age := max(0, now.Wall.Sub(info.ModTime()))
	return max(snapshotAfter, snapshotEvery-age)
}

func (s *Store) transaction() (id int, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil })
	return id, closedError(err)
}

// Keep replaces the snapshot beside the file by a new one, once that has been read back and found sound.
// Commits go on meanwhile.
func (s *Store) Keep() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return place(filepath.Join(s.config.Dir, snapshotFile), func(aside string) error {
		if err := s.copyTo(aside); err != nil {
			return err
		}
		_, err := load(aside, s.sealing, false)
		return err
	})
}

// Copy is a consistent copy of the whole store at one revision, secrets included, encrypted as they are: a file that can
// take the place of state.db, beside the key file. It lies on the disk until it is closed.
type Copy struct {
	*os.File
	Size  int64
	Epoch change.Epoch
	Rev   change.Rev
}

// Copy makes one, and reads it back. Commits go on meanwhile, however slowly it is read then. Errors: ErrFull, ErrClosed.
func (s *Store) Copy() (*Copy, error) {
	c, err := s.makeCopy()
	if err != nil {
		return nil, fmt.Errorf("copy the store: %w", s.diskError(err))
	}
	return c, nil
}

func (s *Store) makeCopy() (c *Copy, err error) {
	if err := s.roomForCopy(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.config.Dir, backupPattern)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	defer os.Remove(f.Name()) // the open file stays until it is closed, and not after a crash
	if err := s.copyTo(f.Name()); err != nil {
		return nil, err
	}
	held, err := load(f.Name(), s.sealing, false)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &Copy{File: f, Size: info.Size(), Epoch: held.epoch, Rev: held.rev}, nil
}

// roomForCopy keeps a copy from taking the room that commits need meanwhile.
func (s *Store) roomForCopy() error {
	var size int64
	if err := s.db.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil }); err != nil {
		return closedError(err)
	}
	free, err := ballast.Free(s.config.Dir)
	if need := size + s.ballast.Bytes(); err == nil && free < need {
		err = fmt.Errorf("%w: a copy of it takes %d bytes of the disk with %s, %d are free, and %d of them are for other writes",
			store.ErrFull, size, s.config.Dir, free, s.ballast.Bytes())
	}
	return err
}

func (s *Store) copyTo(path string) error {
	return closedError(s.db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(path, 0o600) }))
}
