package etcdsync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
)

// maxConflicts is how many are kept; the oldest go first.
const maxConflicts = 200

// conflictPage is how many are read at once.
const conflictPage = 20

// Conflict is a write of somebody that lost against another master's.
type Conflict struct {
	ID      string
	Key     change.Key
	Value   []byte // of the object as it was written; nil: it was deleted, or is one of a list
	Deleted bool
	Rev     change.Rev // of the write; its epoch is the one that lost
	Master  string     // host name of who took it
	By      string     // who wrote it, as the store was told
	At      time.Time  // when, by that master's clock; zero: not known
	Reason  string     // why it lost
	Found   time.Time
}

// conflictID names a conflict shortly.
func conflictID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:5])
}

func (s *Sync) conflict(b brought) (Conflict, error) {
	c := Conflict{ID: conflictID(b.name()), Key: b.key(), Rev: b.Newest, Master: b.Master, By: b.By, Reason: b.Reason, Found: b.Found, Deleted: b.Deleted}
	if b.At != 0 {
		c.At = time.Unix(b.At, 0).UTC()
	}
	if b.Deleted {
		return c, nil
	}
	var err error
	if c.Value, err = s.store.OpenValue(c.Key, b.Value); err != nil {
		return c, fmt.Errorf("conflict %s: %w", c.ID, err)
	}
	return c, nil
}

// Conflicts are all that are kept, oldest write first.
func (s *Sync) Conflicts(ctx context.Context) ([]Conflict, error) {
	var out []Conflict
	err := s.eachConflict(ctx, func(_ string, b brought) (bool, error) {
		c, err := s.conflict(b)
		c.Value = nil // two hundred large objects are not kept in memory
		out = append(out, c)
		return true, err
	})
	return out, err
}

// Conflict is the one of this id; found is false when there is none.
func (s *Sync) Conflict(ctx context.Context, id string) (c Conflict, found bool, err error) {
	err = s.eachConflict(ctx, func(_ string, b brought) (bool, error) {
		if conflictID(b.name()) != id {
			return true, nil
		}
		found = true
		c, err = s.conflict(b)
		return false, err
	})
	return c, found && err == nil, err
}

// Forget takes one off the list; found is false when it is not there.
func (s *Sync) Forget(ctx context.Context, id string) (found bool, err error) {
	at := ""
	err = s.eachConflict(ctx, func(key string, b brought) (bool, error) {
		if conflictID(b.name()) == id {
			at = key
		}
		return at == "", nil
	})
	if err != nil || at == "" {
		return false, err
	}
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := s.client.Delete(asked, at)
	if err != nil {
		return false, explain(err)
	}
	return answer.Deleted > 0, nil
}

// eachConflict yields them until it is told to stop.
func (s *Sync) eachConflict(ctx context.Context, yield func(key string, b brought) (more bool, err error)) error {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client == nil {
		return s.why()
	}
	from, end := s.layout.conflicts(), clientv3.GetPrefixRangeEnd(s.layout.conflicts())
	for {
		asked, cancel := ask(ctx)
		answer, err := client.Get(asked, from, clientv3.WithRange(end), clientv3.WithLimit(conflictPage))
		cancel()
		if err != nil {
			return fmt.Errorf("read the conflicts: %w", explain(err))
		}
		for _, kv := range answer.Kvs {
			b, err := decode[brought](string(kv.Key), kv.Value)
			if err != nil {
				return err
			}
			if more, err := yield(string(kv.Key), b); !more || err != nil {
				return err
			}
		}
		if !answer.More {
			return nil
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}

// boundConflicts drops the oldest of too many. Names begin with the revision, so the order of the keys is that of the writes.
func (s *Sync) boundConflicts(ctx context.Context) error {
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := s.client.Get(asked, s.layout.conflicts(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return explain(err)
	}
	for _, kv := range answer.Kvs[:max(0, len(answer.Kvs)-maxConflicts)] {
		name := strings.TrimPrefix(string(kv.Key), s.layout.conflicts())
		s.config.Logger.Warn().Str("conflict", conflictID(name)).Str("write", name).Msg("there are too many conflicts: the oldest is forgotten")
		if _, err := s.client.Delete(asked, string(kv.Key)); err != nil {
			return explain(err)
		}
	}
	return nil
}

// tellOfConflict makes a conflict known.
func (s *Sync) tellOfConflict(b brought) {
	s.metrics.conflicts.Inc()
	who := b.By
	if who == "" {
		who = "what was written"
	}
	message := fmt.Sprintf("A write on %s while it was cut off (%s) has lost: %s. See edgectl conflicts show %s.", b.Master, who, b.Reason, conflictID(b.name()))
	if s.config.TellOf != nil {
		s.config.TellOf(b.key(), "WriteConflict", message)
	}
}
