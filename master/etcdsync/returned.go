package etcdsync

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/etcdsync/merge"
	"github.com/skerry-edge/skerry/master/store"
)

// brought is a write that a master made while it was cut off, on its way to the leader of now, or a conflict.
type brought struct {
	Kind      change.Kind `json:"kind"`
	Namespace string      `json:"namespace,omitempty"`
	Name      string      `json:"name"`
	Replaced  change.Rev  `json:"replaced,string"`
	Newest    change.Rev  `json:"newest,string"`
	User      bool        `json:"user"`
	Unsure    bool        `json:"unsure,omitempty"`
	Deleted   bool        `json:"deleted,omitempty"`
	Value     []byte      `json:"value,omitempty"` // encrypted if the kind is
	Master    string      `json:"master"`          // host name of who wrote it
	By        string      `json:"by,omitempty"`    // who had it written,
	At        int64       `json:"at,omitempty"`    // and when: store.Entry
	// Of a conflict: why it lost, and when that was found.
	Reason string    `json:"reason,omitempty"`
	Found  time.Time `json:"found,omitzero"`
}

func (b brought) key() change.Key {
	return change.Key{Kind: b.Kind, Namespace: b.Namespace, Name: b.Name}
}

// name orders by time, and is the same each time that the write is offered.
func (b brought) name() string {
	return fmt.Sprintf("%020d/%s/%s/%s", uint64(b.Newest), b.Kind, b.Namespace, b.Name)
}

// offer puts the writes that somebody wanted and that etcd has not got where the leader finds them.
func (s *Sync) offer(ctx context.Context, journal []store.Entry) error {
	if len(journal) == 0 {
		return nil
	}
	sure, err := s.arrivedNothing(ctx)
	if err != nil {
		return err
	}
	view := s.store.View()
	offered := 0
	for _, e := range journal {
		e.Unsure = e.Unsure && !sure
		if !e.User {
			continue // the leader's controllers have decided anew, nodes report again
		}
		rec, there := view.Get(e.Key)
		rec.Key = e.Key
		b := brought{Kind: e.Key.Kind, Namespace: e.Key.Namespace, Name: e.Key.Name, Replaced: e.Replaced, Newest: e.Newest,
			User: true, Unsure: e.Unsure, Deleted: !there, Master: s.described.Name, By: e.By, At: e.At}
		if there {
			b.Value = s.store.SealValue(rec)
		}
		asked, cancel := ask(ctx)
		_, err := s.client.Put(asked, s.layout.returned()+b.name(), encode(b))
		cancel()
		if err != nil {
			return fmt.Errorf("hand over what was written while etcd was away: %w", explain(err))
		}
		offered++
	}
	s.config.Logger.Warn().Int("objects", len(journal)).Int("handed_over", offered).
		Msg("another master has led meanwhile: what users wrote here is handed over to it, the rest is decided anew")
	return nil
}

// arrivedNothing reports whether the next term began where this master's last sure write was: then no write of which
// nothing was heard has arrived in between.
func (s *Sync) arrivedNothing(ctx context.Context) (bool, error) {
	own, err := s.store.Position()
	if err != nil {
		return false, fatal(err)
	}
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := s.client.Get(asked, s.layout.takenOver(own.Epoch().Term+1),
		clientv3.WithRange(clientv3.GetPrefixRangeEnd(s.layout.terms())), clientv3.WithLimit(1))
	if err != nil {
		return false, explain(err)
	}
	for _, kv := range answer.Kvs {
		began, err := decode[position](string(kv.Key), kv.Value)
		return err == nil && began.Seq == s.known().Seq, err
	}
	return false, nil
}

// takeReturned judges what other masters have brought back, oldest first: it is written here if nobody has written the
// object since, and otherwise kept as a conflict.
func (s *Sync) takeReturned(ctx context.Context) error {
	for {
		asked, cancel := ask(ctx)
		answer, err := s.client.Get(asked, s.layout.returned(), clientv3.WithPrefix(), clientv3.WithLimit(16))
		cancel()
		if err != nil {
			return explain(err)
		}
		for _, kv := range answer.Kvs {
			b, err := decode[brought](string(kv.Key), kv.Value)
			if err == nil {
				err = s.settle(ctx, string(kv.Key), b)
			}
			if err != nil {
				return err
			}
		}
		if !answer.More {
			return nil
		}
	}
}

// settle deals with one. It may be repeated.
func (s *Sync) settle(ctx context.Context, at string, b brought) error {
	w := merge.Write{Entry: store.Entry{Key: b.key(), Replaced: b.Replaced, Newest: b.Newest, User: b.User, Unsure: b.Unsure}}
	if !b.Deleted {
		value, err := s.store.OpenValue(w.Key, b.Value)
		if err != nil {
			return err
		}
		w.Value = value
	}
	ops := []clientv3.Op{clientv3.OpDelete(at)}
	for {
		held, _ := s.store.View().Get(w.Key)
		verdict := merge.Judge(w, held, s.store.Epoch().Term)
		s.config.Logger.Info().Stringer("object", w.Key).Str("master", b.Master).Str("action", string(verdict.Action)).
			Str("reason", verdict.Reason).Msg("a write of before this master led")
		switch verdict.Action {
		case merge.Push:
			_, err := s.store.Commit(ctx, []change.Change{{Key: w.Key, Base: held.Rev, Value: w.Value, Reason: "written on " + b.Master + " while it was cut off"}})
			if errors.Is(err, store.ErrConflict) {
				continue
			}
			if err != nil {
				return err
			}
		case merge.Conflict:
			b.Reason, b.Found = verdict.Reason, s.config.Clock().Wall.UTC()
			ops = append(ops, clientv3.OpPut(s.layout.conflicts()+b.name(), encode(b)))
		}
		break
	}
	asked, cancel := ask(ctx)
	defer cancel()
	if _, err := s.client.Txn(asked).Then(ops...).Commit(); err != nil {
		return explain(err)
	}
	if b.Reason == "" {
		return nil
	}
	s.tellOfConflict(b)
	return s.boundConflicts(ctx)
}
