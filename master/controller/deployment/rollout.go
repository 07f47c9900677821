package deployment

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// rollout is one step of one Deployment in the making. Replica sets are changed in place; write puts what has
// changed into the group.
type rollout struct {
	*Controller
	view  change.View
	now   clock.Now
	d     *appsv1.Deployment // as it will be
	was   *appsv1.Deployment // as it is
	rec   change.Record
	all   []*replicas // by creation, then by name
	old   []*replicas // all but the new one
	new   *replicas   // nil until there is one for the template
	group *resource.Group
	again clock.Now
}

// replicas is a ReplicaSet of the Deployment.
type replicas struct {
	*appsv1.ReplicaSet // as it will be
	was                *appsv1.ReplicaSet
	rev                change.Rev // 0 for a set that the step creates
	reason             string
	delete             bool
}

func (r *replicas) size() int32 {
	if r.Spec.Replicas == nil {
		return 1
	}
	return *r.Spec.Replicas
}

func (c *Controller) rollout(view change.View, now clock.Now, d *appsv1.Deployment, rec change.Record) *rollout {
	return &rollout{
		Controller: c, view: view, now: now, d: d.DeepCopy(), was: d, rec: rec,
		group: resource.NewGroup(view, now.Wall), again: clock.Never,
	}
}

// step decides what comes next, as syncDeployment in Kubernetes does.
func (r *rollout) step() {
	if r.claim() {
		return // go on when the sets are ours
	}
	r.gather()
	switch {
	case r.d.DeletionTimestamp != nil:
		r.status(false)
	case r.d.Spec.Paused:
		r.pausing()
		r.revise(false)
		r.resize()
		r.cleanUp()
		r.status(false)
	case r.resized():
		r.pausing()
		r.revise(false)
		r.resize()
		r.status(false)
	case r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		r.pausing()
		r.recreate()
		r.status(true)
	default:
		r.pausing()
		r.roll()
		r.status(true)
	}
	r.write()
}

// claim adopts the orphans that the selector matches and releases the sets that it no longer matches; it
// reports whether there were any.
func (r *rollout) claim() bool {
	if r.d.DeletionTimestamp != nil {
		return false
	}
	selector := r.known[r.rec.Key].selector
	var keys []change.Key
	for key := range r.strays {
		if key.Namespace == r.d.Namespace && selector.Matches(r.sets[key].labels) {
			keys = append(keys, key)
		}
	}
	for rec := range r.view.Indexed(resource.ReplicaSets.Kind, resource.OwnerIndex, string(r.d.UID)) {
		if s, ok := r.sets[rec.Key]; ok && !selector.Matches(s.labels) {
			keys = append(keys, rec.Key)
		}
	}
	slices.SortFunc(keys, byKey)
	for _, key := range keys {
		rec, ok := r.view.Get(key)
		if !ok {
			continue
		}
		rs, err := resource.As[*appsv1.ReplicaSet](resource.ReplicaSets, rec)
		if err != nil || rs.DeletionTimestamp != nil {
			continue
		}
		if ref := metav1.GetControllerOfNoCopy(rs); ref == nil {
			rs.OwnerReferences = append(rs.OwnerReferences, *metav1.NewControllerRef(r.d, resource.Deployments.GVK))
			r.group.Put(resource.ReplicaSets, rs, rec.Rev, "the selector of deployment "+r.d.Name+" matches this orphan")
		} else if ref.UID == r.d.UID {
			rs.OwnerReferences = slices.DeleteFunc(rs.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == r.d.UID })
			r.group.Put(resource.ReplicaSets, rs, rec.Rev, "the selector of deployment "+r.d.Name+" no longer matches")
		}
	}
	return r.group.Len() > 0
}

// gather reads the deployment's sets and finds the one for its template: the oldest, should there be two.
func (r *rollout) gather() {
	for rec := range r.view.Indexed(resource.ReplicaSets.Kind, resource.OwnerIndex, string(r.d.UID)) {
		rs, err := resource.As[*appsv1.ReplicaSet](resource.ReplicaSets, rec)
		if err != nil || rs.Namespace != r.d.Namespace {
			continue
		}
		r.all = append(r.all, &replicas{ReplicaSet: rs.DeepCopy(), was: rs, rev: rec.Rev})
	}
	slices.SortFunc(r.all, func(a, b *replicas) int { return older(a.ReplicaSet, b.ReplicaSet) })
	for _, rs := range r.all {
		if r.new == nil && sameTemplate(&rs.Spec.Template, &r.d.Spec.Template) {
			r.new = rs
			continue
		}
		r.old = append(r.old, rs)
	}
}

func older(a, b *appsv1.ReplicaSet) int {
	if n := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); n != 0 {
		return n
	}
	return strings.Compare(a.Name, b.Name)
}

// sameTemplate compares templates but for the hash that a set's own carries.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(a, b)
}

// write puts everything that the step has changed into the group.
func (r *rollout) write() {
	for _, rs := range r.all {
		switch {
		case rs.delete:
			r.group.Delete(resource.ReplicaSets, rs.was, rs.rev, rs.reason)
		case rs.rev == 0 || !equality.Semantic.DeepEqual(rs.was, rs.ReplicaSet):
			if rs.was != nil && !equality.Semantic.DeepEqual(rs.was.Spec, rs.Spec) {
				rs.Generation++
			}
			r.group.Put(resource.ReplicaSets, rs.ReplicaSet, rs.rev, rs.reason)
		}
	}
	if !equality.Semantic.DeepEqual(r.was, r.d) {
		s := r.d.Status
		r.group.Put(resource.Deployments, r.d, r.rec.Rev, fmt.Sprintf(
			"%d replicas, %d updated, %d available", s.Replicas, s.UpdatedReplicas, s.AvailableReplicas))
	}
}

// scale sets a set's size and tells of it. The annotations say what the size is part of.
func (r *rollout) scale(rs *replicas, size int32) {
	r.annotate(rs)
	before := rs.size()
	if before == size {
		return
	}
	rs.Spec.Replicas = &size
	rs.reason = fmt.Sprintf("scale from %d to %d", before, size)
	direction := "up"
	if size < before {
		direction = "down"
	}
	r.tell(fmt.Sprintf("Scaled %s replica set %s from %d to %d", direction, rs.Name, before, size))
}

func (r *rollout) tell(message string) {
	r.group.Record(resource.Occurrence{
		About:     resource.Deployments.Reference(r.d.Namespace, r.d.Name, r.d.UID),
		Type:      corev1.EventTypeNormal,
		Reason:    "ScalingReplicaSet",
		Message:   message,
		Component: component,
	})
}

// active are the sets that want pods.
func active(sets []*replicas) (out []*replicas) {
	for _, rs := range sets {
		if rs.size() > 0 {
			out = append(out, rs)
		}
	}
	return out
}

// sum adds up what f says of each set.
func sum(sets []*replicas, f func(*replicas) int32) (n int32) {
	for _, rs := range sets {
		n += f(rs)
	}
	return n
}

func wants(rs *replicas) int32     { return rs.size() }
func has(rs *replicas) int32       { return rs.Status.Replicas }
func available(rs *replicas) int32 { return rs.Status.AvailableReplicas }
func ready(rs *replicas) int32     { return rs.Status.ReadyReplicas }
