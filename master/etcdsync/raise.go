package etcdsync

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

// maxRaise is by how many terms somebody else's word raises the term: a node whose key was stolen must not use them up.
const maxRaise = 1000

// Raise begins a term above an epoch that somebody has seen: of a leader whose state, or etcd's, was restored from a
// backup. Without etcd nobody can say whether that epoch's leader is still there, so this one stops leading.
func (s *Sync) Raise(seen change.Epoch) error {
	lead := s.leading()
	switch {
	case lead == nil:
		return store.ErrNotLeader
	case seen.Term > lead.term.Load()+maxRaise:
		return fmt.Errorf("epoch %s is too far above this master's term %d to be believed", seen, lead.term.Load())
	case seen.Less(s.store.Epoch()):
		return nil
	case seen.Term == lead.term.Load():
		return s.store.Advance(seen) // the term is this master's own
	case s.Status().State != Leading:
		s.lose(lead)
		return fmt.Errorf("%w: epoch %s was seen, and etcd can't say whether its leader is there", store.ErrNotLeader, seen)
	}
	return s.store.AdvanceAfter(func() (change.Epoch, error) {
		s.mu.Lock()
		before, election, was := s.position, lead.election, lead.term.Load()
		s.mu.Unlock()
		number := max(seen.Term, was) + 1
		l := s.layout
		next := position{Rev: change.Epoch{Term: number}.First(), Seq: before.Seq + 1}
		bounded, cancel := ask(context.Background())
		defer cancel()
		answer, err := s.client.Txn(bounded).
			If(unchanged(l.election(), election), unchanged(l.position(), before.mod)).
			Then(
				clientv3.OpPut(l.election(), encode(leader{Master: s.self(), Term: number}), clientv3.WithLease(lead.lease)),
				clientv3.OpPut(l.epoch(), encode(term{Number: number, Owner: s.id, CutOff: s.cutOffNow()})),
				clientv3.OpPut(l.takenOver(number), encode(before)),
				clientv3.OpPut(l.position(), encode(next)), s.led(number, s.cutOffNow())).Commit()
		if err == nil && !answer.Succeeded {
			err = errLost
		}
		if err != nil {
			s.goAway(explain(err))
			return change.Epoch{}, explain(err)
		}
		next.mod = answer.Header.Revision
		s.mu.Lock()
		s.position, lead.election = next, next.mod
		lead.term.Store(number)
		s.leader = &leader{Master: s.self(), Term: number}
		s.mu.Unlock()
		s.config.Logger.Warn().Uint32("term", number).Stringer("seen", seen).Msg("a higher epoch than this master's was seen; a new term begins")
		return change.Epoch{Term: number - 1, Start: change.MaxStart}, nil
	})
}
