package apiserver

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/apiserver/authz"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

// policies keeps the policy of the store's newest state: it is made anew at the first question after an object of RBAC
// was written.
type policies struct {
	store store.Store
	log   zerolog.Logger

	written atomic.Int64 // counts writes to objects of RBAC, from 1 on
	read    atomic.Int64 // how many of them the policy has seen
	policy  atomic.Pointer[authz.Policy]

	mu      sync.Mutex
	cursors []store.Cursor
}

var rbacKinds = []change.Kind{
	resource.Roles.Kind, resource.ClusterRoles.Kind, resource.RoleBindings.Kind, resource.ClusterRoleBindings.Kind,
}

func newPolicies(s store.Store, log zerolog.Logger) *policies {
	p := &policies{store: s, log: log}
	p.written.Store(1)
	return p
}

// now is the policy in force.
func (p *policies) now() (*authz.Policy, error) {
	if p.written.Load() == p.read.Load() {
		return p.policy.Load(), nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	written := p.written.Load()
	if written == p.read.Load() {
		return p.policy.Load(), nil
	}
	if err := p.follow(); err != nil {
		return nil, err
	}
	policy, problems := authz.New(p.store.View())
	for _, err := range problems {
		p.log.Error().Err(err).Msg("object of RBAC not understood; it grants nothing")
	}
	p.policy.Store(policy)
	p.read.Store(written)
	return policy, nil
}

// follow reads what was written, so that the cursors tell of the next write.
func (p *policies) follow() error {
	for _, c := range p.cursors {
		for {
			_, ok, err := c.Next()
			if errors.Is(err, store.ErrCompacted) {
				p.close()
				break
			}
			if err != nil {
				return fmt.Errorf("follow the objects of RBAC: %w", err)
			}
			if !ok {
				break
			}
		}
	}
	if p.cursors != nil {
		return nil
	}
	rev := p.store.View().Rev()
	for _, kind := range rbacKinds {
		c, err := p.store.Watch(kind, rev, func() { p.written.Add(1) })
		if err != nil {
			p.close()
			return fmt.Errorf("follow %s: %w", kind, err)
		}
		p.cursors = append(p.cursors, c)
	}
	return nil
}

func (p *policies) close() {
	for _, c := range p.cursors {
		c.Close()
	}
	p.cursors = nil
}
