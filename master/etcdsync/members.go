package etcdsync

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// maxMasters bounds what is read of them.
const maxMasters = 64

// enrol says in etcd that this master is there, and how far it has come, as long as its lease lasts.
func (s *Sync) enrol(ctx context.Context, lease clientv3.LeaseID) error {
	asked, cancel := ask(ctx)
	defer cancel()
	if _, err := s.client.Put(asked, s.layout.masters()+s.id, encode(s.self()), clientv3.WithLease(lease)); err != nil {
		return fmt.Errorf("enrol as a master: %w", explain(err))
	}
	return nil
}

// Masters are those that are in etcd now, in the order of their names. Without etcd it is this one, and an error.
func (s *Sync) Masters(ctx context.Context) ([]Master, error) {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	alone := []Master{s.self()}
	if client == nil {
		return alone, s.why()
	}
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := client.Get(asked, s.layout.masters(), clientv3.WithPrefix(), clientv3.WithLimit(maxMasters))
	if err != nil {
		return alone, explain(err)
	}
	var out []Master
	for _, kv := range answer.Kvs {
		m, err := decode[Master](string(kv.Key), kv.Value)
		if err != nil {
			return alone, err
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Master) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// tend does what a leader does now and then: it says how far it has come, and takes in what masters that led before
// have brought back. What fails is done the next time.
func (s *Sync) tend(ctx context.Context, lead *leadership) {
	if err := s.enrol(ctx, lead.lease); err != nil {
		s.config.Logger.Warn().Err(err).Msg("not enrolled as a master")
		return
	}
	if err := s.takeReturned(ctx); err != nil {
		s.config.Logger.Warn().Err(err).Msg("what another master has brought back could not be taken in; it is tried again")
	}
}
