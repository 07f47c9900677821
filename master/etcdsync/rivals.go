package etcdsync

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// What several masters have to know of each other so that what must run at most once does: see permits in nodelink.
//
//	led/<id>     the newest term that a master has led in, and whether it stops when it is cut off
//	ended/<id>   the newest of those of which it has said, afterwards, that it leads in it no more
//
// A master that leads takes those for rivals that have led and have not said so: cut off, they may not know yet. One that
// is cut off takes every other master that was there for one that may lead by now.

// metaPeers is the setting that remembers that there are other masters, for a start without etcd.
const metaPeers = "etcd.peers"

// reign is the content of led/<id>.
type reign struct {
	Term   uint32 `json:"term"`
	Yields bool   `json:"yields,omitempty"`
}

// led is the write that goes with winning a term.
func (s *Sync) led(number uint32, choice CutOff) clientv3.Op {
	return clientv3.OpPut(s.layout.led()+s.id, encode(reign{Term: number, Yields: choice == CutOffYield}))
}

// Elsewhere reports whether another master has led before this one and may not know that it does so no more.
func (s *Sync) Elsewhere() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rivals
}

// Apart reports whether this master leads without etcd while there are others, one of which may lead by now.
func (s *Sync) Apart() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == Away && s.peers
}

// lookForRivals reads who has led and has not said that it is over.
func (s *Sync) lookForRivals(ctx context.Context) error {
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := s.client.Txn(asked).Then(
		clientv3.OpGet(s.layout.led(), clientv3.WithPrefix(), clientv3.WithLimit(maxMasters)),
		clientv3.OpGet(s.layout.ended(), clientv3.WithPrefix(), clientv3.WithLimit(maxMasters)),
	).Commit()
	if err != nil {
		return fmt.Errorf("look who has led before: %w", explain(err))
	}
	over := map[string]uint32{}
	for _, kv := range answer.Responses[1].GetResponseRange().Kvs {
		r, err := decode[reign](string(kv.Key), kv.Value)
		if err != nil {
			return err
		}
		over[string(kv.Key[len(s.layout.ended()):])] = r.Term
	}
	rivals := answer.Responses[0].GetResponseRange().More
	for _, kv := range answer.Responses[0].GetResponseRange().Kvs {
		r, err := decode[reign](string(kv.Key), kv.Value)
		if err != nil {
			return err
		}
		id := string(kv.Key[len(s.layout.led()):])
		rivals = rivals || id != s.id && !r.Yields && over[id] < r.Term
	}
	s.mu.Lock()
	s.rivals = rivals
	s.mu.Unlock()
	return nil
}

// doubtRivals is for when it can't be read: whoever owned the term before may be one.
func (s *Sync) doubtRivals(before term) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rivals = before.Owner != "" && before.Owner != s.id
}

// sayEnded says that this master leads no more in any term so far; its loops have ended.
func (s *Sync) sayEnded(ctx context.Context) error {
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := s.client.Txn(asked).Then(clientv3.OpGet(s.layout.led()+s.id), clientv3.OpGet(s.layout.ended()+s.id)).Commit()
	if err != nil {
		return fmt.Errorf("read when this master has led: %w", explain(err))
	}
	var found [2]reign
	for i := range found {
		for _, kv := range answer.Responses[i].GetResponseRange().Kvs {
			if found[i], err = decode[reign](string(kv.Key), kv.Value); err != nil {
				return err
			}
		}
	}
	if found[0].Term == found[1].Term {
		return nil
	}
	_, err = s.client.Put(asked, s.layout.ended()+s.id, encode(found[0]))
	if err != nil {
		return fmt.Errorf("say that this master leads no more: %w", explain(err))
	}
	return nil
}

// notePeers remembers whether there are other masters.
func (s *Sync) notePeers(masters []Master) error {
	peers := false
	for _, m := range masters {
		peers = peers || m.ID != s.id && m.Alive
	}
	s.mu.Lock()
	news := peers != s.peers
	s.peers = peers
	s.mu.Unlock()
	if !news || s.store == nil {
		return nil
	}
	var value []byte
	if peers {
		value = []byte("1")
	}
	return s.store.SetMeta(metaPeers, value)
}

// recallPeers reads what notePeers has remembered.
func (s *Sync) recallPeers() error {
	value, err := s.store.Meta(metaPeers)
	if err != nil {
		return errors.Join(errors.New("read whether there are other masters"), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = value != nil
	return nil
}
