package etcdsync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/etcdsync/merge"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// follow brings the store to what etcd has and keeps it there, until this master leads; then it leads.
func (s *Sync) follow(ctx context.Context, o overview) error {
	s.mu.Lock()
	s.met, s.problem = true, nil
	s.mu.Unlock()
	s.setLeader(o.leader)
	foreign := o.leader != nil && o.leader.ID != s.id
	own, err := s.store.Position()
	if err != nil {
		return fatal(err)
	}
	journal, err := s.store.Journal()
	if err != nil {
		return fatal(err)
	}
	mine := merge.Side{Empty: own == 0, Term: own.Epoch().Term, Rev: own}
	if o.term.Owner == s.id {
		mine.Term = max(mine.Term, o.term.Number) // nobody else has led since
	}
	theirs := merge.Side{Empty: o.meta == nil || o.refilling, Term: o.term.Number, Rev: o.position.Rev}
	start := merge.Meet(mine, theirs, len(journal) > 0)
	if start == merge.Resume && o.position.Seq < s.known().Seq {
		start = merge.Refill // etcd was restored from a backup: it lacks more than the journal says
	}
	switch {
	case o.refilling && (mine.Empty || foreign):
		return errFilling
	case start == merge.Refill && !foreign && s.waitsForLeader(o):
		return errEmpty
	case start == merge.Create, start == merge.Resume && !foreign, start == merge.Refill && !foreign:
		won, err := s.campaign(ctx, o, own, start)
		if err == nil && !won {
			err = errLost
		}
		if err != nil {
			return err
		}
		return s.work(ctx, s.leading())
	case start == merge.Refill:
		s.config.Logger.Error().Str("leader", o.leader.Name).Stringer("here", own).Stringer("there", o.position.Rev).
			Msg("etcd and its leader are older than this master, as after the restoring of a backup; what is here is kept in snapshot.db, and etcd's state replaces it")
		if err := s.store.Keep(); err != nil {
			return fatal(err)
		}
	}
	if err := s.sayEnded(ctx); err != nil {
		return err
	}
	if err := s.adopt(ctx, o, journal); err != nil {
		return err
	}
	return s.mirror(ctx, o)
}

// errFilling is what a master waits for that must not take what is there for the state of the cluster.
var errFilling = errors.New("another master is filling etcd, or was broken off doing so; start that one")

// errEmpty is what a follower waits for when etcd has lost its state: the leader has all that was acknowledged.
var errEmpty = errors.New("etcd has lost its state, and the leader is given time to fill it")

// waitsForLeader reports whether that time has not passed yet.
func (s *Sync) waitsForLeader(o overview) bool {
	role, err := s.store.Meta(metaRole)
	now := s.config.Clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || string(role) != roleFollower {
		return false
	}
	if s.emptySince == (clock.Now{}) {
		s.emptySince = now
	}
	return !now.Reached(s.emptySince.Add(2 * s.config.TTL))
}

// adopt makes the store what etcd is at one revision. Its own writes that etcd has not got are offered to who leads.
func (s *Sync) adopt(ctx context.Context, o overview, journal []store.Entry) error {
	if err := s.offer(ctx, journal); err != nil {
		return err
	}
	held, err := s.load(ctx, o.revision)
	if err != nil {
		return err
	}
	kinds, err := s.store.Kinds()
	if err != nil {
		return fatal(err)
	}
	m := store.Mirror{Rev: o.position.Rev}
	view := s.store.View()
	for _, kind := range kinds {
		for rec := range view.List(kind, "") {
			if there, ok := held[rec.Key]; !ok {
				m.Deletes = append(m.Deletes, rec.Key)
			} else if there.Rev == rec.Rev {
				delete(held, rec.Key)
			}
		}
	}
	for _, rec := range held {
		m.Puts = append(m.Puts, rec)
	}
	if err := s.store.Mirror(m); err != nil {
		return fatal(err)
	}
	if len(journal) > 0 {
		if err := s.store.Settle(journal); err != nil {
			return fatal(err)
		}
	}
	if err := errors.Join(s.setRole(roleFollower), s.setCutOff(o.term.CutOff)); err != nil {
		return err
	}
	s.noteBehind(0)
	s.noteKeys(o.keys, true)
	s.mu.Lock()
	s.position, s.state, s.emptySince = o.position, Follower, clock.Now{}
	s.turn(true)
	s.mu.Unlock()
	s.moved.ring()
	s.config.Logger.Info().Int("changed", len(m.Puts)).Int("deleted", len(m.Deletes)).Stringer("rev", m.Rev).Msg("this master shows what is in etcd")
	s.markReady()
	return nil
}

// mirror follows etcd from a revision on. It returns when something is wrong, and leads when nobody does.
func (s *Sync) mirror(ctx context.Context, o overview) error {
	member, _, err := s.grant(ctx)
	if err != nil {
		return err
	}
	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	changes := s.client.Watch(watching, s.layout.prefix, clientv3.WithPrefix(), clientv3.WithRev(o.revision+1))
	if _, err := s.signOfLife(ctx, member); err != nil {
		return err
	}
	tick := time.NewTicker(s.config.TTL / ticks)
	beats := 0
	defer tick.Stop()
	vacant := o.leader == nil || o.leader.ID == s.id
	retry := make(<-chan time.Time)
	for {
		if vacant {
			done, err := s.succeed(ctx)
			if done || err != nil {
				return err
			}
			retry = time.After(jitter(firstPause))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-retry:
		case <-tick.C:
			if err := s.keepMember(ctx, member); err != nil {
				return err
			}
			if beats++; beats%ticks == 0 {
				if _, err := s.signOfLife(ctx, member); err != nil {
					return err
				}
			}
		case r, ok := <-changes:
			if err := r.Err(); err != nil || !ok {
				return fmt.Errorf("follow etcd: %w", explain(errors.Join(err, ctx.Err())))
			}
			if vacant, err = s.take(r.Events, vacant); err != nil {
				return err
			}
		}
	}
}

func (s *Sync) keepMember(ctx context.Context, member clientv3.LeaseID) error {
	asked, cancel := ask(ctx)
	defer cancel()
	if _, err := s.client.KeepAliveOnce(asked, member); err != nil {
		return fmt.Errorf("follow etcd: %w", explain(err))
	}
	return nil
}

// take shows what has changed in etcd. It reports whether nobody leads now.
func (s *Sync) take(events []*clientv3.Event, vacant bool) (bool, error) {
	now := s.known()
	puts, deletes := map[change.Key]change.Record{}, map[change.Key]bool{}
	for _, e := range events {
		key := string(e.Kv.Key)
		switch {
		case key == s.layout.position():
			p, err := decode[position](key, e.Kv.Value)
			if err != nil {
				return vacant, err
			}
			p.mod = e.Kv.ModRevision
			now = p
		case key == s.layout.election():
			if vacant = e.Type == mvccpb.DELETE; vacant {
				s.setLeader(nil)
				continue
			}
			who, err := decode[leader](key, e.Kv.Value)
			if err != nil {
				return vacant, err
			}
			s.setLeader(&who)
		case key == s.layout.epoch() && e.Type == mvccpb.PUT:
			t, err := decode[term](key, e.Kv.Value)
			if err == nil {
				err = s.setCutOff(t.CutOff)
			}
			if err != nil {
				return vacant, err
			}
		case key == s.layout.keys() && e.Type == mvccpb.PUT:
			s.noteKeys(e.Kv.Value, true)
		case key == s.layout.refilling() && e.Type == mvccpb.PUT:
			return vacant, errFilling
		case key == s.layout.meta() && e.Type == mvccpb.DELETE:
			return vacant, errors.New("the cluster was deleted from etcd")
		case e.Type == mvccpb.DELETE:
			if k, err := s.layout.parseObject(key); err == nil {
				delete(puts, k)
				deletes[k] = true
			}
		default:
			if _, err := s.layout.parseObject(key); err != nil {
				continue
			}
			rec, err := s.record(key, e.Kv.Value)
			if err != nil {
				return vacant, fatal(err)
			}
			delete(deletes, rec.Key)
			puts[rec.Key] = rec
		}
	}
	if now == s.known() {
		return vacant, nil
	}
	m := store.Mirror{Rev: now.Rev}
	for _, rec := range puts {
		m.Puts = append(m.Puts, rec)
	}
	for key := range deletes {
		m.Deletes = append(m.Deletes, key)
	}
	if err := s.store.Mirror(m); err != nil {
		return vacant, fatal(err)
	}
	s.mu.Lock()
	s.position = now
	s.mu.Unlock()
	s.moved.ring()
	return vacant, nil
}

// succeed leads if nobody else does and everything that is in etcd is here. done says that it has led.
func (s *Sync) succeed(ctx context.Context) (done bool, err error) {
	o, err := s.read(ctx)
	if err != nil {
		return false, err
	}
	switch {
	case o.leader != nil && o.leader.ID != s.id:
		s.setLeader(o.leader)
		return false, nil
	case o.meta == nil || o.refilling:
		return false, errLost
	case o.position != s.known():
		return false, nil // the watch brings the rest
	}
	own, err := s.store.Position()
	if err != nil {
		return false, fatal(err)
	}
	won, err := s.campaign(ctx, o, own, merge.Load)
	if err != nil || !won {
		return false, err
	}
	return true, s.work(ctx, s.leading())
}

func (s *Sync) setLeader(l *leader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = l
}
