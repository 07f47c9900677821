package etcdsync

import (
	"context"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/etcdsync/merge"
	"github.com/skerry-edge/skerry/master/store"
)

// fewLeft is how many entries of the journal are pushed while writes wait; what is more is pushed beside them.
const fewLeft = 64

// catchUp gives etcd what it has not got. Most of it goes while writes are journaled; the rest, and the change to
// Leading, between two batches, so that no write falls in between.
func (s *Sync) catchUp(ctx context.Context, lead *leadership) error {
	if s.refills() {
		if err := s.fill(ctx, lead); err != nil {
			return err
		}
	}
	for {
		entries, view, err := s.snapshot()
		if err != nil {
			return err
		}
		s.noteBehind(len(entries))
		if len(entries) <= fewLeft {
			break
		}
		if err := s.pushEntries(ctx, lead, entries[:maxOps/2], view); err != nil {
			return err
		}
	}
	return s.store.Between(func() error {
		bounded, cancel := ask(ctx)
		defer cancel()
		entries, err := s.store.Journal()
		if err != nil {
			return fatal(err)
		}
		if err := s.pushEntries(bounded, lead, entries, s.store.View()); err != nil {
			return err
		}
		if first := s.store.Epoch().First(); s.known().Rev < first {
			if err := s.put(bounded, lead, chunk{rev: first}); err != nil {
				return err
			}
		}
		s.noteBehind(0)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lead == lead && s.state == CatchingUp {
			s.state = Leading
			s.turn(true)
		}
		return nil
	})
}

// snapshot is the journal, and the view that goes with it.
func (s *Sync) snapshot() (entries []store.Entry, view change.View, err error) {
	err = s.store.Between(func() error {
		entries, err = s.store.Journal()
		view = s.store.View()
		return err
	})
	if err != nil {
		return nil, nil, fatal(err)
	}
	return entries, view, nil
}

// pushEntries gives etcd these objects as the view has them, oldest write first, and takes them off the journal. A
// leader's journal holds nothing that another has written since: what was offered to another leader is not in it.
func (s *Sync) pushEntries(ctx context.Context, lead *leadership, entries []store.Entry, view change.View) error {
	for batch := range slices.Chunk(entries, maxOps) {
		held, err := s.heldOf(ctx, batch)
		if err != nil {
			return err
		}
		c, settled := chunk{}, []store.Entry(nil)
		var made []store.Entry // nothing in etcd would tell later that they were there, should another delete them
		push := func() error {
			if len(made) > 0 {
				if err := s.store.Doubt(made); err != nil {
					return fatal(err)
				}
			}
			if len(c.writes) > 0 {
				if err := s.put(ctx, lead, c); err != nil {
					return err
				}
			}
			if err := s.store.Settle(settled); err != nil {
				return fatal(err)
			}
			c, settled, made = chunk{}, nil, nil
			return nil
		}
		for _, e := range batch {
			rec, _ := view.Get(e.Key)
			verdict := merge.Judge(merge.Write{Entry: e, Value: rec.Value}, held[e.Key], 0)
			if verdict.Action == merge.Push {
				size := len(rec.Value) + entryOverhead
				if c.size+size > maxBytes && len(c.writes) > 0 {
					if err := push(); err != nil {
						return err
					}
				}
				c.writes = append(c.writes, write{change.Record{Key: e.Key, Rev: e.Newest, Value: rec.Value}})
				c.rev, c.size = max(c.rev, e.Newest), c.size+size
				if e.Replaced == 0 && !e.Unsure {
					made = append(made, e)
				}
			}
			s.config.Logger.Debug().Stringer("object", e.Key).Str("action", string(verdict.Action)).Str("reason", verdict.Reason).Msg("journal")
			settled = append(settled, e)
		}
		if err := push(); err != nil {
			return err
		}
	}
	return nil
}

// heldOf is what etcd has of these objects.
func (s *Sync) heldOf(ctx context.Context, entries []store.Entry) (map[change.Key]change.Record, error) {
	held := map[change.Key]change.Record{}
	var ops []clientv3.Op
	for _, e := range entries {
		ops = append(ops, clientv3.OpGet(s.layout.object(e.Key)))
	}
	asked, cancel := context.WithTimeout(ctx, loadLimit)
	defer cancel()
	answer, err := s.client.Txn(asked).Then(ops...).Commit()
	if err != nil {
		return nil, fmt.Errorf("compare the journal: %w", explain(err))
	}
	for _, part := range answer.Responses {
		for _, kv := range part.GetResponseRange().Kvs {
			rec, err := s.record(string(kv.Key), kv.Value)
			if err != nil {
				return nil, err
			}
			held[rec.Key] = rec
		}
	}
	return held, nil
}

func (s *Sync) refills() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refill
}

// fill makes etcd what the store is: a wiped or new one, or one that was restored from an old backup. Until it is done a
// mark in etcd says that what is there is not all, so that nobody takes it for the cluster's state.
func (s *Sync) fill(ctx context.Context, lead *leadership) error {
	s.config.Logger.Warn().Msg("etcd gets the whole state of this master")
	held, err := s.load(ctx, 0)
	if err != nil {
		return err
	}
	// Writes are journaled meanwhile, so whatever of them is in the view already is only pushed again.
	view := s.store.View()
	c := chunk{}
	push := func() error {
		if len(c.writes) == 0 {
			return nil
		}
		asked, cancel := context.WithTimeout(ctx, loadLimit)
		defer cancel()
		err := s.put(asked, lead, c)
		c = chunk{}
		return err
	}
	add := func(rec change.Record) error {
		if size := len(rec.Value) + entryOverhead; len(c.writes) == maxOps || c.size+size > maxBytes {
			if err := push(); err != nil {
				return err
			}
		}
		c.writes = append(c.writes, write{rec})
		c.rev, c.size = max(c.rev, rec.Rev), c.size+len(rec.Value)+entryOverhead
		return nil
	}
	kinds, err := s.store.Kinds()
	if err != nil {
		return fatal(err)
	}
	for _, kind := range kinds {
		for rec := range view.List(kind, "") {
			if there, ok := held[rec.Key]; !ok || there.Rev != rec.Rev {
				if err := add(rec); err != nil {
					return err
				}
			}
			delete(held, rec.Key)
		}
	}
	for key := range held {
		if err := add(change.Record{Key: key}); err != nil {
			return err
		}
	}
	if err := push(); err != nil {
		return err
	}
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := s.client.Txn(asked).If(unchanged(s.layout.election(), lead.election)).Then(clientv3.OpDelete(s.layout.refilling())).Commit()
	if err != nil {
		return explain(err)
	}
	if !answer.Succeeded {
		return errLost
	}
	s.mu.Lock()
	s.refill = false
	s.mu.Unlock()
	return nil
}
