package deployment

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skerry-edge/skerry/master/resource"
)

// replicas is how many pods the deployment asks for.
func (r *rollout) replicas() int32 {
	if r.d.Spec.Replicas == nil {
		return 1
	}
	return *r.d.Spec.Replicas
}

// bounds are maxSurge, rounded up, and maxUnavailable, rounded down, in pods. Both zero would never move: then
// one pod may be unavailable (Kubernetes: ResolveFenceposts).
func (r *rollout) bounds() (surge, unavailable int32) {
	rolling := r.d.Spec.Strategy.RollingUpdate
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || rolling == nil {
		return 0, 0
	}
	surge = scaled(rolling.MaxSurge, r.replicas(), true)
	unavailable = scaled(rolling.MaxUnavailable, r.replicas(), false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, r.replicas())
}

func scaled(v *intstr.IntOrString, of int32, up bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(v, intstr.FromInt32(0)), int(of), up)
	if err != nil {
		return 0 // validation refuses it
	}
	return int32(n)
}

func (r *rollout) maxSurge() int32 {
	surge, _ := r.bounds()
	return surge
}

func (r *rollout) minAvailable() int32 {
	_, unavailable := r.bounds()
	return r.replicas() - unavailable
}

// newSize is how far the new set may grow now.
func (r *rollout) newSize() int32 {
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return r.replicas()
	}
	room := r.replicas() + r.maxSurge() - sum(r.all, wants)
	if room <= 0 {
		return r.new.size()
	}
	return r.new.size() + min(room, r.replicas()-r.new.size())
}

// roll takes one step of a rolling update: the new set grows, or else old ones shrink.
func (r *rollout) roll() {
	made := r.new == nil
	r.revise(true)
	if r.new == nil || made {
		return
	}
	if size := r.new.size(); size != r.replicas() {
		want := r.replicas()
		if size < want {
			want = r.newSize()
		}
		if want != size {
			r.scale(r.new, want)
			return
		}
	}
	if r.shrink() {
		return
	}
	if r.complete() {
		r.cleanUp()
	}
}

// shrink takes replicas from old sets: first those that aren't available, then as many as leave enough.
func (r *rollout) shrink() (shrunk bool) {
	for _, rs := range r.all {
		if rs.Status.ObservedGeneration < rs.Generation {
			return false // what it says of its pods is of an earlier size
		}
	}
	old := active(r.old)
	room := sum(r.all, wants) - r.minAvailable() - (r.new.size() - r.new.Status.AvailableReplicas)
	if len(old) == 0 || room <= 0 {
		return false
	}
	spare := sum(r.all, available) - r.minAvailable() // the unhealthy are not among them
	for _, rs := range old {
		if n := min(room, rs.size()-rs.Status.AvailableReplicas); n > 0 {
			r.scale(rs, rs.size()-n)
			room -= n
			shrunk = true
		}
	}
	for _, rs := range old {
		if n := min(spare, room, rs.size()); n > 0 {
			r.scale(rs, rs.size()-n)
			spare -= n
			room -= n
			shrunk = true
		}
	}
	return shrunk
}

// recreate ends all old pods before it starts a new one.
func (r *rollout) recreate() {
	shrunk := false
	for _, rs := range active(r.old) {
		r.scale(rs, 0)
		shrunk = true
	}
	if shrunk || r.oldPodsRun() {
		r.revise(false)
		return
	}
	r.revise(true)
	if r.new == nil {
		return
	}
	r.scale(r.new, r.replicas())
	if r.complete() {
		r.cleanUp()
	}
}

// oldPodsRun reports whether a pod of an old set may still run: one that is being deleted does.
func (r *rollout) oldPodsRun() bool {
	for _, rs := range r.old {
		if rs.Status.Replicas > 0 {
			return true
		}
		for rec := range r.view.Indexed(resource.Pods.Kind, resource.OwnerIndex, string(rs.UID)) {
			var pod corev1.Pod
			if pod.Unmarshal(rec.Value) == nil && !resource.Ended(&pod) {
				return true
			}
		}
	}
	return false
}

// resized reports whether the deployment's size has changed since its sets were last scaled.
func (r *rollout) resized() bool {
	for _, rs := range active(r.all) {
		if n, err := strconv.ParseInt(rs.Annotations[annotationDesired], 10, 32); err == nil && int32(n) != r.replicas() {
			return true
		}
	}
	return false
}

// resize brings the sets to the deployment's size without moving replicas between them: in proportion, when a
// rollout is under way.
func (r *rollout) resize() {
	if one := r.activeOrLatest(); one != nil {
		r.scale(one, r.replicas())
		return
	}
	if r.saturated() {
		for _, rs := range active(r.old) {
			r.scale(rs, 0)
		}
		return
	}
	sets := active(r.all)
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		for _, rs := range sets {
			r.annotate(rs) // their sizes are the next step's to decide
		}
		return
	}
	allowed := int32(0)
	if r.replicas() > 0 {
		allowed = r.replicas() + r.maxSurge()
	}
	add := allowed - sum(sets, wants)
	// The bigger first; of equal ones the newer when growing, the older when shrinking.
	slices.SortStableFunc(sets, func(a, b *replicas) int {
		age := older(a.ReplicaSet, b.ReplicaSet)
		if add > 0 {
			age = -age
		}
		return cmp.Or(cmp.Compare(b.size(), a.size()), age)
	})
	sizes := make([]int32, len(sets))
	left := add
	for i, rs := range sets {
		n := r.proportion(rs, left)
		sizes[i] = rs.size() + n
		left -= n
	}
	for i, rs := range sets {
		if i == 0 {
			sizes[i] = max(sizes[i]+left, 0)
		}
		r.scale(rs, sizes[i])
	}
}

// activeOrLatest is the one set that a resize concerns, or nil when several have pods.
func (r *rollout) activeOrLatest() *replicas {
	switch some := active(r.all); {
	case len(some) == 1:
		return some[0]
	case len(some) > 1:
		return nil
	case r.new != nil:
		return r.new
	case len(r.old) > 0:
		return r.old[len(r.old)-1]
	}
	return nil
}

// saturated reports whether the new set has all pods of the deployment's size.
func (r *rollout) saturated() bool {
	if r.new == nil {
		return false
	}
	n, err := strconv.ParseInt(r.new.Annotations[annotationDesired], 10, 32)
	return err == nil && int32(n) == r.replicas() && r.new.size() == r.replicas() && r.new.Status.AvailableReplicas == r.replicas()
}

// proportion is a set's share of the replicas that are to be added, or taken when left is negative.
func (r *rollout) proportion(rs *replicas, left int32) int32 {
	if rs.size() == 0 || left == 0 {
		return 0
	}
	share := -rs.size()
	if r.replicas() > 0 {
		before := r.d.Status.Replicas
		if n, err := strconv.ParseInt(rs.Annotations[annotationMax], 10, 32); err == nil && n > 0 {
			before = int32(n)
		}
		if before == 0 {
			return 0
		}
		grown := float64(rs.size()) * float64(r.replicas()+r.maxSurge()) / float64(before)
		share = int32(math.Round(grown)) - rs.size()
	}
	if left > 0 {
		return min(share, left)
	}
	return max(share, left)
}
