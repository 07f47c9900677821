package etcdsync

import (
	"context"
	"errors"
	"fmt"
)

// errStale is why a follower does not know how old is what it shows.
var errStale = errors.New("this master follows and has not caught up in time")

// Fresh waits until what the store shows is no older than the call: everything that any master had acknowledged by then while
// etcd answered is in it. A leader knows that of itself as long as its lease lasts, or once it goes on without etcd; a follower asks
// etcd how far the others have come, and waits for its mirror. What a follower may show already a leader shows, too: it waits for
// the batch that is on its way. It takes no longer than answerLimit. An error says why it can't be told.
func (s *Sync) Fresh(ctx context.Context) error {
	bounded, cancel := ask(ctx)
	defer cancel()
	var newest position // etcd's, when this was called; mod 0: not read yet
	for {
		moved := s.moved.next()
		s.mu.Lock()
		state, problem, lead, client, here, peers := s.state, s.problem, s.lead, s.client, s.position, s.peers
		s.mu.Unlock()
		switch {
		case state == Away, state == CatchingUp:
			return nil
		case state == Leading && lead != nil && !s.config.Clock().Reached(s.lease(lead)):
			if peers {
				return s.store.Settled(bounded)
			}
			return nil
		case state == Leading:
			s.wake() // it has slept, or etcd is slow: etcd tells whether it still leads
		case state == Waiting || client == nil || problem != nil:
			return errors.Join(errStale, problem)
		case newest.mod == 0:
			answer, err := client.Get(bounded, s.layout.position())
			if err != nil {
				return fmt.Errorf("ask how far the others have come: %w", explain(err))
			}
			if len(answer.Kvs) == 0 {
				return errEmpty
			}
			if newest, err = decode[position](s.layout.position(), answer.Kvs[0].Value); err != nil {
				return err
			}
			newest.mod = answer.Kvs[0].ModRevision
			continue
		case here.mod >= newest.mod && here.Rev >= newest.Rev: // an etcd that was emptied counts from 1 again, and a term more
			return nil
		}
		select {
		case <-moved:
		case <-bounded.Done():
			return errors.Join(errStale, problem)
		}
	}
}

// Standing says in a word what an answer of this master is worth: "leading" and "following" say that etcd has what it
// shows and, of a leader, what it has acknowledged; "away" that etcd may not.
func (s *Sync) Standing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.synced:
		return "away"
	case s.state == Leading:
		return "leading"
	}
	return "following"
}
