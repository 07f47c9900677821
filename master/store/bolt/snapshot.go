package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	bbolt "go.etcd.io/bbolt"

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

// Snapshot writes a consistent copy of the whole store to w, secrets included, encrypted as they are: a file that can
// take the place of state.db, beside the key file. A slow w does not hold up commits.
func (s *Store) Snapshot(w io.Writer) error {
	f, err := os.CreateTemp(s.config.Dir, backupPattern)
	if err != nil {
		return fmt.Errorf("take a snapshot: %w", err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(f.Close(), s.copyTo(f.Name())); err != nil {
		return fmt.Errorf("take a snapshot: %w", err)
	}
	if f, err = os.Open(f.Name()); err != nil {
		return fmt.Errorf("take a snapshot: %w", err)
	}
	defer f.Close()
	if _, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("send the snapshot: %w", err)
	}
	return nil
}

func (s *Store) copyTo(path string) error {
	return closedError(s.db.View(func(tx *bbolt.Tx) error { return tx.CopyFile(path, 0o600) }))
}
