package server

import (
	"context"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/master/etcdsync"
)

// conflicts implements apiserver.Conflicts.
type conflicts struct{ sync *etcdsync.Sync }

// conflicts are those of the cluster; nil: there is no etcd.
func (s *Server) conflicts() apiserver.Conflicts {
	if s.sync == nil {
		return nil
	}
	return conflicts{s.sync}
}

// List implements apiserver.Conflicts.
func (c conflicts) List(ctx context.Context) ([]apiserver.Conflict, error) {
	all, err := c.sync.Conflicts(ctx)
	if err != nil {
		return nil, err
	}
	var out []apiserver.Conflict
	for _, each := range all {
		out = append(out, shown(each))
	}
	return out, nil
}

// Get implements apiserver.Conflicts.
func (c conflicts) Get(ctx context.Context, id string) (apiserver.Conflict, bool, error) {
	one, found, err := c.sync.Conflict(ctx, id)
	return shown(one), found, err
}

// Forget implements apiserver.Conflicts.
func (c conflicts) Forget(ctx context.Context, id string) (bool, error) {
	return c.sync.Forget(ctx, id)
}

func shown(c etcdsync.Conflict) apiserver.Conflict {
	return apiserver.Conflict{
		ID: c.ID, Kind: string(c.Key.Kind), Namespace: c.Key.Namespace, Name: c.Key.Name, Deleted: c.Deleted, By: c.By, Written: c.At,
		Master: c.Master, Epoch: c.Rev.Epoch().String(), Reason: c.Reason, Found: c.Found, Key: c.Key, Value: c.Value,
	}
}
