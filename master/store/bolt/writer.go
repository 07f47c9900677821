package bolt

import (
	"context"
	"errors"
	"fmt"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

// maxBatch is how many commits share one fsync at most, and maxBatchBytes about how many bytes: enough to make
// the fsync cheap, and little enough for the first commit not to wait for long.
const (
	maxBatch      = 256
	maxBatchBytes = 4 << 20
)

type request struct {
	ctx      context.Context
	changes  []change.Change
	volatile bool
	done     chan result // has room for the one answer
}

type advance struct {
	beyond change.Epoch
	done   chan result
}

// call is something that is done between two batches.
type call struct {
	do   func() error
	done chan result
}

type result struct {
	rev change.Rev
	err error
}

// pending is a request that is applied and waits for the fsync.
type pending struct {
	*request
	commit store.Commit
}

// write is the writer goroutine. It takes what waits, never waits for more, and answers.
func (s *Store) write() {
	defer close(s.stopped)
	for {
		select {
		case <-s.closing:
			for {
				select {
				case r := <-s.requests:
					r.done <- result{err: store.ErrClosed}
				default:
					return
				}
			}
		case a := <-s.advances:
			var err error
			if !a.beyond.Less(s.core.Epoch()) {
				err = s.begin(a.beyond.Next())
			}
			a.done <- result{err: err}
		case c := <-s.calls:
			c.done <- result{err: c.do()}
		case first := <-s.requests:
			s.commit(s.collect(first))
		}
	}
}

// collect adds to the first request those that wait already.
func (s *Store) collect(first *request) []*request {
	batch, size := []*request{first}, first.size()
	for len(batch) < maxBatch && size < maxBatchBytes {
		select {
		case r := <-s.requests:
			batch = append(batch, r)
			size += r.size()
		default:
			return batch
		}
	}
	return batch
}

func (r *request) size() (n int) {
	for _, c := range r.changes {
		n += len(c.Value)
	}
	return n
}

// commit carries out a batch and answers every request of it.
func (s *Store) commit(batch []*request) {
	if s.follows.Load() {
		for _, r := range batch {
			r.done <- result{err: store.ErrNotLeader}
		}
		return
	}
	if s.core.Room() < s.reserve {
		if err := s.begin(s.core.Epoch().Next()); err != nil {
			for _, r := range batch {
				r.done <- result{err: err}
			}
			return
		}
	}
	applied := s.apply(s.admit(batch))
	err := s.persist(applied)
	if small := s.whatMayUseTheReserve(applied); errors.Is(err, store.ErrFull) && len(small) > 0 {
		s.core.Revert()
		s.useReserve()
		answer(applied, small, err)
		applied = s.apply(small)
		err = s.persist(applied)
	}
	if err != nil {
		s.core.Revert()
		var volatile []*request
		for _, p := range applied {
			if p.volatile {
				volatile = append(volatile, p.request) // the disk is nothing to them
			} else {
				p.done <- result{err: err}
			}
		}
		applied = s.apply(volatile)
	}
	s.core.Publish()
	for _, p := range applied {
		p.done <- result{rev: p.commit.Rev}
	}
}

// apply writes requests onto the tip; those that are refused are answered.
func (s *Store) apply(batch []*request) []pending {
	var applied []pending
	for _, r := range batch {
		err := r.ctx.Err()
		var commit store.Commit
		if err == nil {
			commit, err = s.core.Apply(r.changes)
		}
		if err != nil {
			r.done <- result{err: err}
			continue
		}
		applied = append(applied, pending{r, commit})
	}
	return applied
}

// persist makes the durable ones of the applied commits durable: elsewhere first, then here.
func (s *Store) persist(applied []pending) error {
	var batch store.Batch
	for _, p := range applied {
		if !p.volatile && len(p.commit.Events) > 0 {
			batch.Commits = append(batch.Commits, p.commit)
		}
	}
	if len(batch.Commits) == 0 {
		return nil
	}
	if s.broken != nil {
		return s.broken
	}
	last := batch.Commits[len(batch.Commits)-1].Rev
	away, unsure := false, false
	if s.config.Replicator != nil {
		err := s.config.Replicator.Replicate(s.life, s.core.Epoch(), batch)
		away, unsure = errors.Is(err, store.ErrAway), errors.Is(err, store.ErrUnsure)
		if err != nil && !away {
			return fmt.Errorf("replicate up to revision %s: %w", last, err)
		}
	}
	err := s.update(func(tx *bbolt.Tx) error {
		for _, commit := range batch.Commits {
			for _, e := range commit.Events {
				if err := s.putEvent(tx, e); err != nil {
					return err
				}
			}
		}
		if away {
			if err := s.journal(tx, batch, unsure); err != nil {
				return err
			}
		}
		return position{epoch: s.core.Epoch(), rev: last}.put(tx)
	})
	if err == nil {
		s.rev = last
		return nil
	}
	err = fmt.Errorf("write up to revision %s: %w", last, s.diskError(err))
	s.checkRefused(last, err)
	if r, ok := s.config.Replicator.(store.Retractor); ok && !away {
		r.Retract(batch)
	}
	return err
}

func (s *Store) putEvent(tx *bbolt.Tx, e change.Event) error {
	if e.New.Exists() {
		return putRecord(tx, s.sealing, e.New)
	}
	b := s.sealing.bucket(tx, e.Key.Kind).Bucket([]byte(e.Key.Kind))
	if b == nil {
		return nil
	}
	return b.Delete(objectKey(e.Key))
}

// checkRefused looks whether a write that failed is in the file all the same: bbolt's last step is to write a
// page that makes the rest valid, and when only the fsync after it fails nobody knows what the disk holds. From
// then on the file and the memory would go apart, so nothing is written any more and Run ends.
func (s *Store) checkRefused(rev change.Rev, cause error) {
	err := s.db.View(func(tx *bbolt.Tx) error {
		if held, ok := getPosition(tx); ok && held.rev < rev {
			return nil
		}
		return errors.New("the file holds what was refused")
	})
	if err != nil {
		s.broken = fmt.Errorf("%w; %v: restart skerry-master", cause, err)
		close(s.failed)
	}
}

// begin makes a newer epoch durable and current.
func (s *Store) begin(epoch change.Epoch) error {
	if s.broken != nil {
		return s.broken
	}
	if err := begin(s.config, s.ballast, s.db, position{epoch: epoch, rev: s.rev}); err != nil {
		return err
	}
	s.core.Begin(epoch)
	return nil
}
