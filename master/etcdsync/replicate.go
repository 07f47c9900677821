package etcdsync

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

var (
	_ store.Replicator = (*Sync)(nil)
	_ store.Retractor  = (*Sync)(nil)
)

// Replicate is store.Replicator: it puts a batch into etcd, or says that the store shall journal it. It is called by the
// store's writer, one batch at a time, and takes no longer than answerLimit.
func (s *Sync) Replicate(ctx context.Context, epoch change.Epoch, batch store.Batch) error {
	s.mu.Lock()
	lead, state := s.lead, s.state
	lost := lead != nil && lead.lost
	s.mu.Unlock()
	switch {
	case lead == nil || lost || epoch.Term != lead.term.Load():
		s.wake()
		return store.ErrNotLeader
	case s.yields() && s.config.Clock().Reached(s.lease(lead)):
		return fmt.Errorf("%w: its lease has ended, and it yields when it is cut off", store.ErrNotLeader)
	case state != Leading:
		return store.ErrAway
	}
	writes, err := s.plan(batch)
	if err != nil {
		return err
	}
	bounded, cancel := ask(ctx)
	defer cancel()
	away := store.ErrAway
	for _, chunk := range writes {
		err := s.put(bounded, lead, chunk)
		if fenced := (*fencedError)(nil); errors.As(err, &fenced) && fenced.term > lead.term.Load() {
			s.lose(lead)
			return fmt.Errorf("%w: another master leads in term %d", store.ErrNotLeader, fenced.term)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.goAway(err)
			if !errors.As(err, new(*fencedError)) {
				away = store.ErrUnsure
			}
			return away
		}
		away = store.ErrUnsure // a part of the batch is there
	}
	s.mu.Lock()
	clear(s.retracted)
	s.mu.Unlock()
	return nil
}

// Retract is store.Retractor: the next batch puts right what these writes have left in etcd.
func (s *Sync) Retract(batch store.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, commit := range batch.Commits {
		for _, e := range commit.Events {
			s.retracted[e.Key] = true
		}
	}
}

// write is one object as it shall be in etcd; a record without a value is deleted.
type write struct {
	record change.Record // its Rev is the write id, of a deletion too
}

// chunk is what one transaction writes.
type chunk struct {
	writes []write
	rev    change.Rev // of the newest commit in it
	size   int
}

// plan divides a batch into transactions, commits as whole as etcd's limits allow. Of several writes to one object only
// the last is in a transaction.
func (s *Sync) plan(batch store.Batch) ([]chunk, error) {
	var all []chunk
	now := chunk{}
	at := map[change.Key]int{}
	flush := func() {
		if len(now.writes) > 0 {
			all = append(all, now)
		}
		now = chunk{}
		clear(at)
	}
	add := func(rec change.Record, rev change.Rev) {
		size := len(rec.Value) + entryOverhead
		if i, twice := at[rec.Key]; twice {
			now.size += size - len(now.writes[i].record.Value) - entryOverhead
			now.writes[i] = write{rec}
		} else {
			if len(now.writes) > 0 && (len(now.writes) == maxOps || now.size+size > maxBytes) {
				flush()
			}
			at[rec.Key] = len(now.writes)
			now.writes = append(now.writes, write{rec})
			now.size += size
		}
		now.rev = rev
	}
	view := s.store.View()
	for _, key := range s.takeRetracted() {
		rec, _ := view.Get(key)
		rec.Key = key
		add(rec, view.Rev())
	}
	for _, commit := range batch.Commits {
		size := 0
		for _, e := range commit.Events {
			if slashed(e.Key) {
				return nil, fmt.Errorf("%s: a name with a slash can't be kept in etcd", e.Key)
			}
			if len(e.New.Value) > maxValue {
				return nil, fmt.Errorf("%w: %s has %d bytes, and etcd takes objects of at most %d", store.ErrFull, e.Key, len(e.New.Value), maxValue)
			}
			size += len(e.New.Value) + entryOverhead
		}
		if len(now.writes) > 0 && (len(now.writes)+len(commit.Events) > maxOps || now.size+size > maxBytes) {
			flush()
		}
		for _, e := range commit.Events {
			rec := e.New
			rec.Key, rec.Rev = e.Key, commit.Rev
			add(rec, commit.Rev)
		}
	}
	flush()
	return all, nil
}

const entryOverhead = 200 // keys, encryption, protobuf

func (s *Sync) takeRetracted() []change.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []change.Key
	for key := range s.retracted {
		keys = append(keys, key)
	}
	return keys
}

// fencedError says that a transaction was not carried out: this master's key or the position is not what it was.
type fencedError struct{ term uint32 }

func (e *fencedError) Error() string {
	return fmt.Sprintf("etcd is not as this master has left it (term %d)", e.term)
}

// put carries out one transaction. Whether one that brought no answer happened shows the position: a repetition finds
// its own, and is content.
func (s *Sync) put(ctx context.Context, lead *leadership, c chunk) error {
	l := s.layout
	s.mu.Lock()
	before, election := s.position, lead.election
	s.mu.Unlock()
	next := position{Rev: max(c.rev, before.Rev), Seq: before.Seq + 1}
	ops := make([]clientv3.Op, 0, len(c.writes)+1)
	for _, w := range c.writes {
		key := l.object(w.record.Key)
		if !w.record.Exists() {
			ops = append(ops, clientv3.OpDelete(key))
			continue
		}
		ops = append(ops, clientv3.OpPut(key, encodeObject(w.record.Rev, s.store.SealValue(w.record))))
	}
	ops = append(ops, clientv3.OpPut(l.position(), encode(next)))
	answer, err := s.client.Txn(ctx).
		If(unchanged(l.election(), election), unchanged(l.position(), before.mod)).
		Then(ops...).
		Else(clientv3.OpGet(l.epoch())).Commit()
	if err != nil {
		return explain(err)
	}
	if !answer.Succeeded {
		var fenced fencedError
		for _, kv := range answer.Responses[0].GetResponseRange().Kvs {
			if t, err := decode[term](l.epoch(), kv.Value); err == nil {
				fenced.term = t.Number
			}
		}
		return &fenced
	}
	next.mod = answer.Header.Revision
	s.mu.Lock()
	s.position = next
	s.mu.Unlock()
	return nil
}

func (s *Sync) known() position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position
}

// goAway makes the following writes go into the journal until Run has made up for it.
func (s *Sync) goAway(err error) {
	s.mu.Lock()
	if s.state == Leading {
		s.state, s.problem, s.since = Away, err, s.config.Clock()
		s.turn(false)
	}
	s.mu.Unlock()
	s.wake()
}

// lose refuses all further writes at once; Run does the rest.
func (s *Sync) lose(lead *leadership) {
	s.mu.Lock()
	if s.lead == lead {
		s.state, s.problem, lead.lost = Away, errLost, true
		s.turn(false)
	}
	s.mu.Unlock()
	s.wake()
}
