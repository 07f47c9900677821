package server

import (
	"crypto/ecdh"
	"crypto/sha256"
	"crypto/subtle"
	"sync"

	"github.com/skerry-edge/skerry/master/broker"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// accounts are those of the embedded broker, as the store has the keys and tokens.
type accounts struct {
	store   store.Store
	key     *ecdh.PrivateKey // the cluster's
	cluster string

	mu    sync.Mutex
	known map[string]passwords // by node
}

// passwords are what a node shows with its keys: kept, because a connection must not cost a key exchange.
type passwords struct {
	keys   [2][32]byte
	hashes [][sha256.Size]byte
}

var _ broker.Accounts = (*accounts)(nil)

func newAccounts(s store.Store, key *ecdh.PrivateKey, cluster string) *accounts {
	return &accounts{store: s, key: key, cluster: cluster, known: map[string]passwords{}}
}

func (a *accounts) record(name string) (resource.NodeKey, bool) {
	rec, ok := a.store.View().Get(change.Key{Kind: resource.NodeKeyKind, Name: name})
	if !ok {
		return resource.NodeKey{}, false
	}
	k, err := resource.DecodeNodeKey(rec.Value)
	return k, err == nil
}

// Node implements broker.Accounts.
func (a *accounts) Node(name string) [][sha256.Size]byte {
	k, ok := a.record(name)
	if !ok {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	keys := [2][32]byte{k.Key, k.Next}
	if known, ok := a.known[name]; ok && known.keys == keys {
		return known.hashes
	}
	now := passwords{keys: keys}
	for _, key := range keys {
		if key == [32]byte{} {
			continue
		}
		if box, err := seal.NewBox(seal.Master, a.key, key, a.cluster, name); err == nil {
			now.hashes = append(now.hashes, sha256.Sum256([]byte(box.Password())))
		}
	}
	a.known[name] = now
	return now.hashes
}

// Removed implements broker.Accounts.
func (a *accounts) Removed(name string) bool {
	k, ok := a.record(name)
	return !ok || k.Revoked != 0
}

// Join implements broker.Accounts.
func (a *accounts) Join(password [sha256.Size]byte) bool {
	found := 0
	for rec := range a.store.View().List(resource.JoinTokenKind, "") {
		if t, err := resource.DecodeJoinToken(rec.Value); err == nil {
			found |= subtle.ConstantTimeCompare(password[:], t.Password[:])
		}
	}
	return found == 1
}
