package etcdsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
)

// maxMasters bounds what is read of them.
const maxMasters = 64

// sign is what a sign of life brings back.
type sign struct {
	election int64 // etcd's revision of the leader's key; 0: there is none
	returned bool  // somebody has brought writes back
}

// signOfLife says in etcd which master this is, that it is there, as long as its lease lasts, and how far it has come; and
// notes who else is. It is one transaction, because a line may be thin.
func (s *Sync) signOfLife(ctx context.Context, lease clientv3.LeaseID) (out sign, err error) {
	self := s.self()
	asked, cancel := ask(ctx)
	defer cancel()
	alive := clientv3.OpPut(s.layout.alive()+s.id, strconv.FormatUint(uint64(self.Rev), 10), clientv3.WithLease(lease))
	self.Rev = 0
	key, card := s.layout.masters()+s.id, encode(self)
	ops := append(s.membersOps(), clientv3.OpGet(s.layout.election()),
		clientv3.OpGet(s.layout.returned(), clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithKeysOnly()), alive)
	answer, err := s.client.Txn(asked).If(clientv3.Compare(clientv3.Value(key), "=", card)).
		Then(ops...).Else(append(ops, clientv3.OpPut(key, card))...).Commit()
	if err != nil {
		return out, fmt.Errorf("say that this master is there: %w", explain(err))
	}
	for _, kv := range answer.Responses[2].GetResponseRange().Kvs {
		out.election = kv.ModRevision
	}
	out.returned = len(answer.Responses[3].GetResponseRange().Kvs) > 0
	_, err = s.noteMasters(answer)
	return out, err
}

// membersOps ask for all masters that have ever been, and for who of them is alive.
func (s *Sync) membersOps() []clientv3.Op {
	return []clientv3.Op{
		clientv3.OpGet(s.layout.masters(), clientv3.WithPrefix(), clientv3.WithLimit(maxMasters)),
		clientv3.OpGet(s.layout.alive(), clientv3.WithPrefix(), clientv3.WithLimit(maxMasters)),
	}
}

// noteMasters reads the answer to membersOps: masters in the order of their names.
func (s *Sync) noteMasters(answer *clientv3.TxnResponse) ([]Master, error) {
	var out []Master
	for _, kv := range answer.Responses[0].GetResponseRange().Kvs {
		m, err := decode[Master](string(kv.Key), kv.Value)
		if err != nil {
			return nil, err
		}
		for _, sign := range answer.Responses[1].GetResponseRange().Kvs {
			if string(sign.Key) == s.layout.alive()+m.ID {
				m.Alive = true
				m.Rev, _ = change.ParseRev(string(sign.Value))
			}
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Master) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	before := s.Brokers()
	s.mu.Lock()
	s.masters = out
	s.mu.Unlock()
	if s.config.Changed != nil && !slices.Equal(before, s.Brokers()) {
		s.config.Changed()
	}
	return out, s.notePeers(out)
}

// Masters are those that share this etcd. Without etcd they are as they were last read, and there is an error.
func (s *Sync) Masters(ctx context.Context) ([]Master, error) {
	s.mu.Lock()
	client, last := s.client, s.masters
	s.mu.Unlock()
	if len(last) == 0 {
		last = []Master{s.self()}
	}
	if client == nil {
		return last, s.why()
	}
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := client.Txn(asked).Then(s.membersOps()...).Commit()
	if err != nil {
		return last, explain(err)
	}
	return s.noteMasters(answer)
}

// ErrAlive says that a master is there, and is not forgotten.
var ErrAlive = errors.New("it is alive")

// ForgetMaster takes a master off the list that is gone for good: nodes are told its broker no longer, and what it may have
// permitted while it was cut off holds nobody up. found is false when there is none of that id.
func (s *Sync) ForgetMaster(ctx context.Context, id string) (found bool, err error) {
	if id == s.id {
		return true, ErrAlive // also before it has said so in etcd
	}
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client == nil {
		return false, s.why()
	}
	asked, cancel := ask(ctx)
	defer cancel()
	l := s.layout
	answer, err := client.Txn(asked).If(unchanged(l.alive()+id, 0)).
		Then(clientv3.OpDelete(l.masters()+id), clientv3.OpDelete(l.led()+id), clientv3.OpDelete(l.ended()+id)).Commit()
	switch {
	case err != nil:
		return false, fmt.Errorf("forget a master: %w", explain(err))
	case !answer.Succeeded:
		return true, ErrAlive
	}
	return answer.Responses[0].GetResponseDeleteRange().Deleted > 0, nil
}

// Brokers are the embedded brokers of all masters, as they were last read: in the same order whoever leads.
func (s *Sync) Brokers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, m := range append(slices.Clone(s.masters), s.described) {
		for _, b := range m.Brokers {
			if !slices.Contains(out, b) {
				out = append(out, b)
			}
		}
	}
	return out
}

// tend does what a leader does now and then: it says how far it has come, and takes in what masters that led before
// have brought back. What fails is done the next time.
func (s *Sync) tend(ctx context.Context, lead *leadership) {
	s.mu.Lock()
	election := lead.election
	s.mu.Unlock()
	seen, err := s.signOfLife(ctx, lead.lease)
	if err == nil && seen.election < election { // a term that was raised meanwhile makes it newer
		s.goAway(errLost)
		return
	}
	if err == nil && seen.returned {
		bounded, cancel := ask(ctx) // the lease has to be kept meanwhile
		defer cancel()
		err = s.takeReturned(bounded)
	}
	if err != nil {
		s.config.Logger.Warn().Err(err).Msg("what a leader does now and then has failed; it is tried again")
		return
	}
	if s.Elsewhere() {
		if err := s.lookForRivals(ctx); err != nil {
			s.config.Logger.Warn().Err(err).Msg("whether earlier leaders know that they lead no more could not be read; it is tried again")
		}
	}
	if err := s.noteSynced(ctx, lead); err != nil {
		s.config.Logger.Warn().Err(err).Msg("edgectl fleet shows this site as older than it is")
	}
	if err := s.ShareKeys(ctx); err != nil {
		s.config.Logger.Warn().Err(err).Msg("the wrapped keys are not in etcd as they should be; it is tried again")
	}
}
