package etcdsync

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
)

// maxMasters bounds what is read of them.
const maxMasters = 64

// enrol says in etcd which master this is, that it is there, as long as its lease lasts, and how far it has come; and
// notes who else is.
func (s *Sync) enrol(ctx context.Context, lease clientv3.LeaseID) error {
	self := s.self()
	asked, cancel := ask(ctx)
	defer cancel()
	alive := clientv3.OpPut(s.layout.alive()+s.id, strconv.FormatUint(uint64(self.Rev), 10), clientv3.WithLease(lease))
	self.Rev = 0
	key, card := s.layout.masters()+s.id, encode(self)
	_, err := s.client.Txn(asked).If(clientv3.Compare(clientv3.Value(key), "=", card)).
		Then(alive).Else(alive, clientv3.OpPut(key, card)).Commit()
	if err != nil {
		return fmt.Errorf("enrol as a master: %w", explain(err))
	}
	_, err = s.readMasters(asked, s.client)
	return err
}

// readMasters are all that have ever been, in the order of their names, and who of them is alive.
func (s *Sync) readMasters(ctx context.Context, client *clientv3.Client) ([]Master, error) {
	answer, err := client.Txn(ctx).Then(
		clientv3.OpGet(s.layout.masters(), clientv3.WithPrefix(), clientv3.WithLimit(maxMasters)),
		clientv3.OpGet(s.layout.alive(), clientv3.WithPrefix(), clientv3.WithLimit(maxMasters))).Commit()
	if err != nil {
		return nil, explain(err)
	}
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
	s.mu.Lock()
	s.masters = out
	s.mu.Unlock()
	return out, nil
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
	out, err := s.readMasters(asked, client)
	if err != nil {
		return last, err
	}
	return out, nil
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
	ctx, cancel := ask(ctx) // all of it: the lease has to be kept meanwhile
	defer cancel()
	o, err := s.read(ctx)
	if err == nil && o.election < election { // a term that was raised meanwhile makes it newer
		s.goAway(errLost)
		return
	}
	if err == nil {
		err = s.enrol(ctx, lead.lease)
	}
	if err != nil {
		s.config.Logger.Warn().Err(err).Msg("not enrolled as a master")
		return
	}
	if err := s.noteSynced(ctx, lead); err != nil {
		s.config.Logger.Warn().Err(err).Msg("edgectl fleet shows this site as older than it is")
	}
	if err := s.ShareKeys(ctx); err != nil {
		s.config.Logger.Warn().Err(err).Msg("the wrapped keys are not in etcd as they should be; it is tried again")
	}
	if err := s.takeReturned(ctx); err != nil {
		s.config.Logger.Warn().Err(err).Msg("what another master has brought back could not be taken in; it is tried again")
	}
}
