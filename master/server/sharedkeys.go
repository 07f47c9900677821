package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-edge/skerry/master/etcdsync"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// sharedKeys are the cluster's keys as they may lie in etcd. It implements etcdsync.Keys.
type sharedKeys struct{ *Server }

var _ etcdsync.Keys = sharedKeys{}

// State implements etcdsync.Keys.
func (k sharedKeys) State() (etcdsync.KeyState, error) { return k.saver.state() }

// Wrap implements etcdsync.Keys.
func (k sharedKeys) Wrap() ([]byte, error) { return k.saver.wrappedKeys(k.saver.Recipient()) }

// Follow implements etcdsync.Keys.
func (k sharedKeys) Follow(recipient string) error {
	to, err := recovery.ParseRecipient(recipient)
	if err != nil {
		return err
	}
	return k.saver.keep(to)
}

// state tells whether the key files are still those that etcd has. They don't change while the master runs, but for the
// recovery key.
func (k *recoveryKeeper) state() (etcdsync.KeyState, error) {
	k.mu.Lock()
	to, known := k.recipient, k.digest
	k.mu.Unlock()
	if to.IsZero() {
		return etcdsync.KeyState{}, nil
	}
	if known == nil {
		b, err := bundle(k.dir, k.cluster)
		if err != nil {
			return etcdsync.KeyState{}, err
		}
		known = digest(b)
		k.mu.Lock()
		if k.recipient == to {
			k.digest = known
		}
		k.mu.Unlock()
	}
	return etcdsync.KeyState{Recipient: to.String(), Digest: known}, nil
}

// digest is a hash of a bundle, each part with its length.
func digest(b recovery.Bundle) []byte {
	h := sha256.New()
	part := func(p []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	part([]byte("skerry key files 1"))
	part([]byte(b.Cluster))
	for _, f := range b.Files {
		part([]byte(f.Name))
		part(f.Data)
	}
	return h.Sum(nil)
}

// share gives etcd the keys anew when the recovery key has changed. The caller has made sure that this master leads.
func (s *Server) share() error {
	if err := s.sync.ShareKeys(context.Background()); err != nil {
		return fmt.Errorf("give etcd the keys, wrapped for the new recovery key: %w", err)
	}
	return nil
}

// mayShare says why the recovery key can't change now: a master that is cut off must not print one that the others
// don't seal for.
func (s *Server) mayShare() error {
	if now := s.sync.Status(); now.State != etcdsync.Leading {
		return apierrors.NewServiceUnavailable(fmt.Sprintf("the recovery key is changed while etcd answers and has everything, so that all masters learn of it; now: %s", now))
	}
	return nil
}
