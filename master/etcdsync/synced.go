package etcdsync

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// syncedEvery is how often a leader notes in etcd that everything is there.
const syncedEvery = 10 * time.Second

// synced says when a leader last had everything in etcd. Unlike the marks of who is alive it stays when a site is cut off:
// edgectl fleet tells by it how old is what it shows.
type synced struct {
	Time   time.Time `json:"time"` // by the leader's clock
	Master string    `json:"master"`
	Term   uint32    `json:"term"`
}

// noteSynced renews the mark now and then, if etcd is still this master's to write.
func (s *Sync) noteSynced(ctx context.Context, lead *leadership) error {
	now := s.config.Clock()
	s.mu.Lock()
	election := lead.election
	s.mu.Unlock()
	if s.syncedNext != (clock.Now{}) && !now.Reached(s.syncedNext) {
		return nil
	}
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := s.client.Txn(asked).If(unchanged(s.layout.election(), election)).
		Then(clientv3.OpPut(s.layout.synced(), encode(synced{Time: now.Wall.UTC(), Master: s.id, Term: lead.term.Load()}))).Commit()
	if err != nil {
		return fmt.Errorf("note that etcd has everything: %w", explain(err))
	}
	if !answer.Succeeded {
		return errLost
	}
	s.syncedNext = now.Add(syncedEvery)
	return nil
}
