package etcdsync

import (
	"context"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Keys are the cluster's keys as they may lie in etcd: wrapped, so that the recovery key alone opens them. The methods
// may be called from any goroutine, and return soon.
type Keys interface {
	// State says which keys these are, and for whom they are to be wrapped.
	State() (KeyState, error)
	// Wrap wraps them.
	Wrap() ([]byte, error)
	// Follow makes this master wrap for another recovery key, which the leader has been given.
	Follow(recipient string) error
}

// KeyState tells one state of the keys from another.
type KeyState struct {
	Recipient string `json:"recipient"` // public half of the recovery key; empty: there is none, and nothing is wrapped
	Digest    []byte `json:"digest"`    // of the keys and the recipient
}

func (k KeyState) equal(other KeyState) bool {
	return k.Recipient == other.Recipient && slices.Equal(k.Digest, other.Digest)
}

// wrapped is what lies under keys. The state is encrypted as Secrets are: so whoever writes to etcd can't have the
// masters wrap their keys for somebody else.
type wrapped struct {
	Keys  []byte `json:"keys"`
	State []byte `json:"state"`
}

// stateName is the place that the state is bound to.
const stateName = "etcd keys"

// noteKeys notes which keys are in etcd. A master that follows wraps for the same recovery key from now on.
func (s *Sync) noteKeys(value []byte, follow bool) {
	if s.config.Keys == nil || value == nil {
		return
	}
	there, err := s.readKeys(value)
	if err != nil {
		s.config.Logger.Error().Err(err).Msg("the wrapped keys in etcd are not those of a master of this cluster; the leader replaces them")
		return
	}
	s.mu.Lock()
	s.keysThere = there
	s.mu.Unlock()
	if !follow {
		return
	}
	if own, err := s.config.Keys.State(); err == nil && own.Recipient == there.Recipient {
		return
	}
	if err := s.config.Keys.Follow(there.Recipient); err != nil {
		s.config.Logger.Error().Err(err).Msg("the recovery key that the leader has been given was not kept")
	}
}

func (s *Sync) readKeys(value []byte) (KeyState, error) {
	w, err := decode[wrapped](s.layout.keys(), value)
	if err != nil {
		return KeyState{}, err
	}
	text, err := s.store.OpenSetting(stateName, w.State)
	if err != nil {
		return KeyState{}, err
	}
	return decode[KeyState](s.layout.keys(), text)
}

// ShareKeys gives etcd the keys if they are not there as they are now. Only who leads may.
func (s *Sync) ShareKeys(ctx context.Context) error {
	lead := s.leading()
	if s.config.Keys == nil || lead == nil {
		return nil
	}
	own, err := s.config.Keys.State()
	if err != nil || own.Recipient == "" {
		return err
	}
	s.mu.Lock()
	there, election, client := s.keysThere, lead.election, s.client
	s.mu.Unlock()
	if own.equal(there) {
		return nil
	}
	w := wrapped{State: s.store.SealSetting(stateName, []byte(encode(own)))}
	if w.Keys, err = s.config.Keys.Wrap(); err != nil {
		return err
	}
	asked, cancel := ask(ctx)
	defer cancel()
	answer, err := client.Txn(asked).If(unchanged(s.layout.election(), election)).
		Then(clientv3.OpPut(s.layout.keys(), encode(w))).Commit()
	if err != nil {
		return fmt.Errorf("keep the wrapped keys in etcd: %w", explain(err))
	}
	if !answer.Succeeded {
		return errLost
	}
	s.mu.Lock()
	s.keysThere = own
	s.mu.Unlock()
	s.config.Logger.Info().Msg("etcd has the cluster's keys, wrapped for the recovery key")
	return nil
}
