package etcdsync

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/etcdsync/merge"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// errLost means that another master may lead: this one looks at etcd again.
var errLost = errors.New("the election was lost")

// campaign tries to become the leader of a new term. o is what this master has, too; start says what comes
// after winning. won is false when somebody was faster.
func (s *Sync) campaign(ctx context.Context, o overview, own change.Rev, start merge.Start) (won bool, err error) {
	fill := start == merge.Refill
	number := max(o.term.Number, own.Epoch().Term, s.store.Epoch().Term) + 1
	lease, ends, err := s.grant(ctx)
	if err != nil {
		return false, err
	}
	l := s.layout
	self := leader{Master: s.self(), Term: number}
	choice := s.wanted(o.term)
	if choice == CutOffYield { // should this master die before it hears that it has won, it does not lead alone
		if err := s.setCutOff(choice); err != nil {
			return false, err
		}
	}
	next := position{Rev: change.Epoch{Term: number}.First(), Seq: o.position.Seq + 1}
	if start == merge.Resume {
		next.Rev = o.position.Rev // the journal, which is older than the term, comes first
	}
	conditions := []clientv3.Cmp{unchanged(l.epoch(), o.term.mod), unchanged(l.position(), o.position.mod), unchanged(l.election(), o.election)}
	writes := []clientv3.Op{
		clientv3.OpPut(l.election(), encode(self), clientv3.WithLease(lease)),
		clientv3.OpPut(l.epoch(), encode(term{Number: number, Owner: s.id, CutOff: choice})),
		clientv3.OpPut(l.takenOver(number), encode(o.position)),
		clientv3.OpPut(l.position(), encode(next)),
		s.led(number, choice),
	}
	if number > keptTerms {
		writes = append(writes, clientv3.OpDelete(l.takenOver(number-keptTerms)))
	}
	if o.meta == nil {
		conditions = append(conditions, unchanged(l.meta(), 0))
		writes = append(writes, clientv3.OpPut(l.meta(), encode(meta{
			Format: formatNumber, Cluster: s.config.Cluster, Identity: s.identity,
			Check: s.store.SealSetting(checkName, []byte(checkText)),
		})))
	}
	if fill {
		writes = append(writes, clientv3.OpPut(l.refilling(), encode(self.Master)))
	}
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := s.client.Txn(asked).If(conditions...).Then(writes...).Commit()
	if err != nil {
		return false, explain(err)
	}
	if !answer.Succeeded {
		s.client.Revoke(asked, lease)
		return false, nil
	}
	next.mod = answer.Header.Revision
	lead := &leadership{election: answer.Header.Revision, lease: lease, ends: ends}
	lead.term.Store(number)
	if err := s.setCutOff(choice); err != nil {
		return true, err
	}
	if err := s.lookForRivals(ctx); err != nil {
		s.doubtRivals(o.term)
	}
	return true, s.begin(ctx, lead, change.Epoch{Term: number - 1, Start: change.MaxStart}, next, fill)
}

// unchanged compares etcd's revision of a key; 0: it is not there.
func unchanged(key string, mod int64) clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(key), "=", mod)
}

// grant gets a lease, and says when it ends at the earliest.
func (s *Sync) grant(ctx context.Context) (clientv3.LeaseID, clock.Now, error) {
	asked, cancel := ask(ctx)
	defer cancel()
	sent := s.config.Clock()
	answer, err := s.client.Grant(asked, int64(s.config.TTL/time.Second))
	if err != nil {
		return 0, clock.Now{}, fmt.Errorf("get a lease: %w", explain(err))
	}
	return answer.ID, sent.Add(time.Duration(answer.TTL) * time.Second), nil
}

// begin makes the store take writes of a new epoch, and starts what only a leader does.
func (s *Sync) begin(ctx context.Context, lead *leadership, beyond change.Epoch, p position, fill bool) error {
	if err := s.store.Advance(beyond); err != nil {
		return fatal(err)
	}
	if lead.term.Load() == 0 {
		lead.term.Store(s.store.Epoch().Term)
	}
	if err := s.setRole(roleLeader); err != nil {
		return err
	}
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	lead.stop, lead.done = stop, make(chan struct{})
	self := leader{Master: s.self(), Term: lead.term.Load()}
	s.mu.Lock()
	s.lead, s.leader, s.position, s.refill, s.state = lead, &self, p, fill, CatchingUp
	if lead.election == 0 {
		s.state, s.leader = Away, nil
	}
	s.turn(false)
	s.mu.Unlock()
	s.moved.ring()
	if err := s.store.Lead(true); err != nil {
		return fatal(err)
	}
	s.config.Logger.Info().Uint32("term", lead.term.Load()).Stringer("epoch", s.store.Epoch()).Msg("this master leads")
	s.markReady()
	go func() {
		defer close(lead.done)
		if s.config.Lead != nil {
			lead.err = s.config.Lead(work)
		} else {
			<-work.Done()
		}
	}()
	return nil
}

// beginAlone leads without etcd: in the term that this master has led last, with a new start.
func (s *Sync) beginAlone() error {
	s.mu.Lock()
	s.rivals = s.peers // one of them may have led, and been cut off, in an earlier term
	s.mu.Unlock()
	return s.begin(context.Background(), &leadership{}, s.store.Epoch(), position{}, false)
}

// lease is when the leader's lease ends at the earliest.
func (s *Sync) lease(lead *leadership) clock.Now {
	s.mu.Lock()
	defer s.mu.Unlock()
	return lead.ends
}

func (s *Sync) markReady() {
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
}

// leadEnded is closed when the loops of the leader have ended; nil while this master does not lead.
func (s *Sync) leadEnded() <-chan struct{} {
	if lead := s.leading(); lead != nil {
		return lead.done
	}
	return nil
}

// stepDown stops leading because it has to.
func (s *Sync) stepDown(why string) error { return s.stopLeading(why, true) }

// stopLeading refuses further writes, and ends the loops of the leader. for good says that this master does not go on
// leading when it starts again without etcd.
func (s *Sync) stopLeading(why string, forGood bool) error {
	s.stopping.Lock()
	defer s.stopping.Unlock()
	s.mu.Lock()
	lead := s.lead
	s.lead, s.refill = nil, false
	if lead != nil {
		s.state = Follower
		s.turn(false) // until it shows what etcd has
		if s.leader != nil && s.leader.ID == s.id {
			s.leader = nil
		}
	}
	s.mu.Unlock()
	if lead == nil {
		return nil
	}
	s.moved.ring()
	err := s.store.Lead(false)
	lead.stop(errors.New(why))
	<-lead.done
	err = errors.Join(err, lead.err)
	if forGood {
		err = errors.Join(err, s.setRole(roleFollower))
		s.config.Logger.Warn().Uint32("term", lead.term.Load()).Str("why", why).Msg("this master leads no more")
	}
	if err != nil {
		return fatal(err)
	}
	return nil
}

// resume goes on leading when etcd answers again, or for the first time.
func (s *Sync) resume(ctx context.Context, lead *leadership, o overview) error {
	foreign := o.leader != nil && o.leader.ID != s.id
	s.mu.Lock()
	election := lead.election
	s.mu.Unlock()
	switch {
	case o.term.Number > lead.term.Load(), foreign && o.term.Number == lead.term.Load(), o.term.Number == lead.term.Load() && o.term.Owner != s.id:
		s.setLeader(o.leader)
		if err := s.stepDown(fmt.Sprintf("another master has led in term %d", o.term.Number)); err != nil {
			return err
		}
		return s.follow(ctx, o)
	case foreign:
		return fmt.Errorf("etcd has gone back in time, to term %d, and the master %s leads there", o.term.Number, o.leader.Name)
	case o.meta == nil, o.term.Number < lead.term.Load(), o.refilling && !s.refills(), o.position.Seq < s.known().Seq:
		// Wiped, or restored from an old backup: all of it comes from here, in a term that is newer than both.
		if err := s.stopLeading("etcd has lost what it had; a new term begins", false); err != nil {
			return err
		}
		return s.follow(ctx, o)
	}
	if o.leader == nil || o.election != election {
		if err := s.reclaim(ctx, lead, o); err != nil {
			return err
		}
	} else if err := s.keepLease(ctx, lead); err != nil {
		return err // it ended while this master was away: etcd is about to remove the election's key
	}
	s.mu.Lock()
	s.position = o.position
	s.state = CatchingUp
	s.leader = &leader{Master: s.self(), Term: lead.term.Load()}
	s.mu.Unlock()
	return s.work(ctx, lead)
}

// reclaim takes the election's key again within the same term: the epoch's key proves that nobody else has led since.
func (s *Sync) reclaim(ctx context.Context, lead *leadership, o overview) error {
	lease, ends, err := s.grant(ctx)
	if err != nil {
		return err
	}
	l := s.layout
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := s.client.Txn(asked).
		If(unchanged(l.election(), o.election), unchanged(l.epoch(), o.term.mod)).
		Then(clientv3.OpPut(l.election(), encode(leader{Master: s.self(), Term: lead.term.Load()}), clientv3.WithLease(lease))).Commit()
	if err != nil {
		return explain(err)
	}
	if !answer.Succeeded {
		s.client.Revoke(asked, lease)
		return errLost
	}
	s.mu.Lock()
	lead.election, lead.lease, lead.ends = answer.Header.Revision, lease, ends
	s.mu.Unlock()
	return nil
}

// work catches up and then keeps the lease, until something is wrong.
func (s *Sync) work(ctx context.Context, lead *leadership) error {
	s.syncedNext = clock.Now{}
	caught := make(chan error, 1)
	catching, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { caught <- s.catchUp(catching, lead) }()
	finished := false
	stop := func(err error) error {
		cancel()
		if !finished {
			<-caught
		}
		return err
	}
	tick := time.NewTicker(s.config.TTL / ticks)
	beats := 0
	defer tick.Stop()
	// A new master's broker shall be known to nodes before it is needed; what the watch misses, the next beat finds.
	others := s.client.Watch(catching, s.layout.masters(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	for {
		if err := s.keepLease(ctx, lead); err != nil {
			return stop(err)
		}
		select {
		case err := <-caught:
			finished = true
			if err != nil {
				return err
			}
			if s.Status().State == Leading {
				s.noteBack()
				s.tend(ctx, lead)
			}
		case <-tick.C:
			if beats++; finished && beats%ticks == 0 {
				s.tend(ctx, lead)
			}
		case _, ok := <-others:
			if !ok {
				others = nil
			} else if finished {
				s.tend(ctx, lead)
			}
		case <-s.kick:
			if s.Status().State == Away { // also right after it has caught up, before that was noticed here
				return stop(s.why())
			}
		case <-lead.done:
			if err := stop(nil); err != nil {
				return err
			}
			return s.stopLeading("the loops of the leader have ended", false)
		case <-ctx.Done():
			return stop(nil)
		}
	}
}

func (s *Sync) keepLease(ctx context.Context, lead *leadership) error {
	asked, cancel := ask(ctx)
	defer cancel()
	sent := s.config.Clock()
	answer, err := s.client.KeepAliveOnce(asked, lead.lease)
	if err != nil {
		return fmt.Errorf("keep the lease: %w", explain(err))
	}
	s.mu.Lock()
	lead.ends = sent.Add(time.Duration(answer.TTL) * time.Second)
	s.mu.Unlock()
	s.moved.ring()
	return nil
}

func (s *Sync) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem != nil {
		return s.problem
	}
	return errLost
}
