package etcdsync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/master/change"
)

// Conflict is a write of a user that has lost against another master's.
type Conflict struct {
	ID      string // by which it is forgotten
	Key     change.Key
	Value   []byte     // what was written; nil: it was deleted
	Written change.Rev // the write id that it had
	Master  string     // host name of the master that it was written on
	Reason  string     // why it lost
	Found   time.Time
}

// id is the same each time that the write is judged.
func (b brought) id() string {
	sum := sha256.Sum256([]byte(b.name()))
	return hex.EncodeToString(sum[:5])
}

// conflictPage bounds what is read at once; they may be as large as objects.
const conflictPage = 16

// errNoEtcd is the answer while there has been no connection yet.
var errNoEtcd = errors.New("etcd, where conflicts are kept, has not answered yet")

// Conflicts are those that nobody has forgotten, oldest first.
func (s *Sync) Conflicts(ctx context.Context) ([]Conflict, error) {
	client := s.connected()
	if client == nil {
		return nil, errNoEtcd
	}
	var out []Conflict
	from, end := s.layout.conflicts(), clientv3.GetPrefixRangeEnd(s.layout.conflicts())
	for {
		asked, cancel := ask(ctx)
		answer, err := client.Get(asked, from, clientv3.WithRange(end), clientv3.WithLimit(conflictPage))
		cancel()
		if err != nil {
			return nil, explain(err)
		}
		for _, kv := range answer.Kvs {
			b, err := decode[brought](string(kv.Key), kv.Value)
			if err != nil {
				return nil, err
			}
			c := Conflict{ID: b.id(), Key: b.key(), Written: b.Newest, Master: b.Master, Reason: b.Reason, Found: b.Found}
			if !b.Deleted {
				if c.Value, err = s.store.OpenValue(c.Key, b.Value); err != nil {
					return nil, err
				}
			}
			out = append(out, c)
			from = string(kv.Key) + "\x00"
		}
		if !answer.More {
			slices.SortFunc(out, func(a, b Conflict) int { return cmp.Compare(a.Written, b.Written) })
			return out, nil
		}
	}
}

// Forget removes a conflict; found is false when there is none of this id.
func (s *Sync) Forget(ctx context.Context, id string) (found bool, err error) {
	client := s.connected()
	if client == nil {
		return false, errNoEtcd
	}
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := client.Delete(asked, s.layout.conflicts()+id)
	if err != nil {
		return false, fmt.Errorf("forget a conflict: %w", explain(err))
	}
	return answer.Deleted > 0, nil
}

func (s *Sync) connected() *clientv3.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}
