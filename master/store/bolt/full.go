package bolt

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/ballast"
)

// On a full disk the store must be able to start and to delete, or nobody could make room by its own means. Some
// room is reserved for that, and kept for that: once it is in use, what takes more room is refused, until there is
// enough on the disk again, or within the file.
const (
	// reserved is what it may take to delete one of the largest objects: bbolt writes a few neighbours with it.
	reserved = 8 << 20
	// growth is how much more a commit may take that is let through on a full disk: a status, a deletionTimestamp.
	growth = 4 << 10
)

// save does a write, for which it gives the reserved room free if there is no other.
func save(config Config, b *ballast.Ballast, write func() error) error {
	used, err := b.Save(write)
	if used {
		logRoomUsed(config)
	}
	return diskError(config, err)
}

func logRoomUsed(config Config) {
	config.Logger.Warn().Str("data_dir", config.Dir).
		Msg("the disk is full: the room that was reserved for the store is in use now, and new objects are refused; free space on the disk, or delete objects")
}

// admit answers those of a batch that take room that is not there, and returns the others.
func (s *Store) admit(batch []*request) []*request {
	if !s.ballast.Low() || !slices.ContainsFunc(batch, s.grows) {
		return batch
	}
	if low, err := s.ballast.Refill(); !low {
		if err != nil {
			s.config.Logger.Warn().Err(err).Msg("no room is reserved for the store, should the disk become full")
		}
		return batch
	}
	// What was deleted has left room within the file. As much as was reserved on the disk stays free there.
	within := s.db.Stats().FreePageN*s.db.Info().PageSize - int(s.ballast.Bytes())
	var admitted []*request
	for _, r := range batch {
		if s.grows(r) {
			if within -= r.size() + growth; within < 0 {
				r.done <- result{err: fmt.Errorf("%w: what is left on the disk with %s is for deleting; %s", store.ErrFull, s.config.Dir, remedy)}
				continue
			}
		}
		admitted = append(admitted, r)
	}
	return admitted
}

// grows reports whether a request makes something new, or takes much more room than what it replaces.
func (s *Store) grows(r *request) bool {
	if r.volatile {
		return false
	}
	more, view := 0, s.core.View()
	for _, c := range r.changes {
		old, there := view.Get(c.Key)
		if !there && !c.Deletes() {
			return true
		}
		more += len(c.Value) - len(old.Value)
	}
	return more > growth
}

// whatMayUseTheReserve are the requests that are tried again when the disk has refused them together with others;
// none if nothing but volatile ones is among them.
func (s *Store) whatMayUseTheReserve(applied []pending) []*request {
	var small []*request
	durable := false
	for _, p := range applied {
		if !s.grows(p.request) {
			small = append(small, p.request)
			durable = durable || !p.volatile
		}
	}
	if !durable {
		return nil
	}
	return small
}

func (s *Store) useReserve() {
	if s.ballast.Use() {
		logRoomUsed(s.config)
	}
}

// answer tells an error to those that are not tried again.
func answer(applied []pending, again []*request, err error) {
	for _, p := range applied {
		if !slices.Contains(again, p.request) {
			p.done <- result{err: err}
		}
	}
}

const remedy = "free space there, or delete objects"

func (s *Store) diskError(err error) error { return diskError(s.config, err) }

// diskError makes store.ErrFull of the errors that mean so.
func diskError(config Config, err error) error {
	switch {
	case ballast.IsFull(err):
		return fmt.Errorf("%w: the disk with %s is full; %s: %w", store.ErrFull, config.Dir, remedy, err)
	case errors.Is(err, syscall.EFBIG), errors.Is(err, bolterrors.ErrMaxSizeReached):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}
