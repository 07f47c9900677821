package etcdsync

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/master/store/storetest"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// The contract of a store holds for bbolt with etcd in front of it, too.
func TestStore(t *testing.T) {
	t.Parallel()
	e, clusters := startEtcd(t, 1), 0
	storetest.Run(t, func(t *testing.T, config store.Config) storetest.Store {
		clusters++
		s := New(Config{Server: Server{Endpoints: e.urls()}, Cluster: fmt.Sprint("c", clusters), TTL: testTTL,
			Clock: daemon.Clock, Logger: zerolog.Nop()})
		local, _, err := bolt.Open(bolt.Config{Dir: t.TempDir(), Schema: config.Schema, Replicator: chain{s, config.Replicator}, Follows: true,
			Clock: daemon.Clock, Logger: zerolog.Nop()})
		if err == nil {
			err = s.Attach(local, "id", Master{Name: "a"})
		}
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := errors.Join(<-ended, local.Close()); err != nil && !errors.Is(err, store.ErrClosed) {
				t.Error(err)
			}
		})
		eventually(t, "it leads", func() error {
			if now := s.Status(); now.State != Leading {
				return errors.New(now.String())
			}
			return nil
		})
		return &raised{local, s}
	})
}

// raised is a store whose Advance goes through the election.
type raised struct {
	*bolt.Store
	sync *Sync
}

func (r *raised) Advance(beyond change.Epoch) error { return r.sync.Raise(beyond) }

// chain asks etcd, and then the suite's own replicator.
type chain struct {
	first, second store.Replicator
}

func (c chain) Replicate(ctx context.Context, epoch change.Epoch, batch store.Batch) error {
	if err := c.first.Replicate(ctx, epoch, batch); err != nil || c.second == nil {
		return err
	}
	return c.second.Replicate(ctx, epoch, batch)
}
