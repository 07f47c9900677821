package apiserver

import (
	"bytes"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

// attempts is how often a write is made anew on what somebody else has written meanwhile.
const attempts = 16

// retry calls write until it no longer meets somebody else's write. Where the client has named the revision it
// writes to, write itself answers with a conflict.
func retry(write func() error) error {
	var err error
	for range attempts {
		if err = write(); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return err
}

// commit stores an object in place of the record old, which doesn't exist for a create, and gives it the
// revision of the write. guards are records that must not have changed meanwhile. A dry run stores nothing.
func (c *call) commit(o resource.Object, old change.Record, dryRun bool, reason string, guards ...change.Record) error {
	value, err := resource.Encode(o)
	if err != nil {
		return err
	}
	if err := c.mayGrant(o, old); err != nil {
		return err
	}
	if dryRun || old.Exists() && bytes.Equal(value, old.Value) {
		if old.Exists() {
			o.SetResourceVersion(old.Rev.String())
		}
		return nil
	}
	changes := []change.Change{{Key: c.res.Key(o.GetNamespace(), o.GetName()), Base: old.Rev, Value: value, Reason: reason}}
	for _, g := range guards {
		// A change that changes nothing writes nothing, but holds the commit to its base.
		changes = append(changes, change.Change{Key: g.Key, Base: g.Rev, Value: g.Value, Reason: "must be as it was"})
	}
	rev, err := c.Store.Commit(c.ctx, changes)
	if err != nil {
		return fmt.Errorf("store %s: %w", c.res.Singular, err)
	}
	o.SetResourceVersion(rev.String())
	o.GetObjectKind().SetGroupVersionKind(c.res.GVK)
	return nil
}

// remove deletes the object of a record from the store.
func (c *call) remove(rec change.Record, dryRun bool) error {
	if dryRun {
		return nil
	}
	_, err := c.Store.Commit(c.ctx, []change.Change{{Key: rec.Key, Base: rec.Rev, Reason: "deleted by " + c.user.name}})
	if err != nil {
		return fmt.Errorf("delete %s: %w", c.res.Singular, err)
	}
	return nil
}

// checkIdentity refuses an input that is for another object than the path names.
func (c *call) checkIdentity(input resource.Object) error {
	if input.GetNamespace() == "" {
		input.SetNamespace(c.namespace)
	}
	if input.GetNamespace() != c.namespace {
		return apierrors.NewBadRequest(fmt.Sprintf("the namespace of the object (%s) does not match the namespace on the request (%s)", input.GetNamespace(), c.namespace))
	}
	if input.GetName() == "" {
		input.SetName(c.name)
	}
	if input.GetName() != c.name {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", input.GetName(), c.name))
	}
	return nil
}

// checkPreconditions refuses a write that was made for another object or another version of it.
func (c *call) checkPreconditions(p *metav1.Preconditions, o resource.Object) error {
	if p == nil {
		return nil
	}
	if p.UID != nil && *p.UID != o.GetUID() {
		//lint:ignore ST1005 Kubernetes' own words
		return apierrors.NewConflict(c.groupResource(), o.GetName(), fmt.Errorf(
			"Precondition failed: UID in precondition: %v, UID in object meta: %v", *p.UID, o.GetUID()))
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != o.GetResourceVersion() {
		//lint:ignore ST1005 Kubernetes' own words
		return apierrors.NewConflict(c.groupResource(), o.GetName(), fmt.Errorf(
			"Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v", *p.ResourceVersion, o.GetResourceVersion()))
	}
	return nil
}

// save stores what a client has made of an object, unless it was made from another version. An object that was
// only waiting for its last finalizer to go is deleted by this very write, as in Kubernetes.
func (c *call) save(p part, input, old resource.Object, rec change.Record, dryRun bool) (resource.Object, error) {
	if err := c.checkIdentity(input); err != nil {
		return nil, err
	}
	if uid := input.GetUID(); uid != "" {
		if err := c.checkPreconditions(&metav1.Preconditions{UID: &uid}, old); err != nil {
			return nil, err
		}
	}
	if rv := input.GetResourceVersion(); rv != "" && rv != old.GetResourceVersion() {
		return nil, apierrors.NewConflict(c.groupResource(), c.name, errOptimisticLock)
	}
	updated, err := p.put(input, old)
	if err != nil {
		return nil, err
	}
	guards, err := c.admitUpdate(c.Store.View(), updated, old)
	if err != nil {
		return nil, err
	}
	if c.mayGo(updated) {
		return updated, c.remove(rec, dryRun)
	}
	return updated, c.commit(updated, rec, dryRun, c.verb+" by "+c.user.name, guards...)
}
