package deployment

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// Annotations of Kubernetes' deployment controller (k8s.io/kubectl/pkg/util/deployment).
const (
	annotationRevision = "deployment.kubernetes.io/revision"
	annotationHistory  = "deployment.kubernetes.io/revision-history"
	annotationDesired  = "deployment.kubernetes.io/desired-replicas"
	annotationMax      = "deployment.kubernetes.io/max-replicas"
)

// notInherited are the annotations of a Deployment that its sets do not get.
var notInherited = map[string]bool{
	corev1.LastAppliedConfigAnnotation: true,
	annotationRevision:                 true,
	annotationHistory:                  true,
	annotationDesired:                  true,
	annotationMax:                      true,
	appsv1.DeprecatedRollbackTo:        true,
}

// revise gives the new set, which it makes if there is none and create says so, the newest revision, and the
// deployment the same.
func (r *rollout) revise(create bool) {
	revision := int64(1)
	for _, rs := range r.old {
		revision = max(revision, revisionOf(rs.ReplicaSet)+1)
	}
	if r.new == nil {
		if create {
			r.make(revision)
		}
		return
	}
	r.inherit(r.new, revision)
	if r.new.Spec.MinReadySeconds != r.d.Spec.MinReadySeconds {
		r.new.Spec.MinReadySeconds = r.d.Spec.MinReadySeconds
		r.new.reason = "minReadySeconds has changed"
	}
	metav1.SetMetaDataAnnotation(&r.d.ObjectMeta, annotationRevision, r.new.Annotations[annotationRevision])
	if r.hasDeadline() && r.condition(appsv1.DeploymentProgressing) == nil {
		r.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, "FoundNewReplicaSet", fmt.Sprintf("Found new replica set %q", r.new.Name))
	}
}

// inherit passes the deployment's annotations and the revision on to a set. A revision only ever rises; those
// that the set had before are its history.
func (r *rollout) inherit(rs *replicas, revision int64) {
	if rs.Annotations == nil {
		rs.Annotations = map[string]string{}
	}
	for key, value := range r.d.Annotations {
		if !notInherited[key] && rs.Annotations[key] != value {
			rs.Annotations[key] = value
			rs.reason = "annotations have changed"
		}
	}
	before := revisionOf(rs.ReplicaSet)
	if before >= revision {
		return
	}
	rs.Annotations[annotationRevision] = strconv.FormatInt(revision, 10)
	rs.reason = fmt.Sprintf("is revision %d", revision)
	if before > 0 {
		history := rs.Annotations[annotationHistory]
		if history != "" {
			history += ","
		}
		rs.Annotations[annotationHistory] = history + strconv.FormatInt(before, 10)
	}
}

func revisionOf(rs *appsv1.ReplicaSet) int64 {
	n, err := strconv.ParseInt(rs.Annotations[annotationRevision], 10, 64)
	if err != nil {
		return 0 // as Kubernetes reads a missing or broken one
	}
	return n
}

// make creates the set for the template. A name that is taken by something else makes the next plan try
// another.
func (r *rollout) make(revision int64) {
	if terminating(r.view, r.d.Namespace) {
		return
	}
	hash, ok := r.hash()
	if !ok {
		return
	}
	name := r.d.Name + "-" + hash
	if _, taken := r.view.Get(resource.ReplicaSets.Key(r.d.Namespace, name)); taken {
		collisions := int32(1)
		if n := r.d.Status.CollisionCount; n != nil {
			collisions += *n
		}
		r.d.Status.CollisionCount = &collisions
		return
	}
	template := r.d.Spec.Template.DeepCopy()
	template.Labels = withHash(template.Labels, hash)
	selector := r.d.Spec.Selector.DeepCopy()
	selector.MatchLabels = withHash(selector.MatchLabels, hash)
	none := int32(0)
	rs := &replicas{ReplicaSet: &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:              name,
			Namespace:         r.d.Namespace,
			UID:               resource.DeriveUID(fmt.Sprintf("%s %s %s", r.d.UID, r.view.Rev(), name)),
			CreationTimestamp: metav1.NewTime(r.now.Wall.Truncate(time.Second)),
			Generation:        1,
			Labels:            maps.Clone(template.Labels),
			OwnerReferences:   []metav1.OwnerReference{*metav1.NewControllerRef(r.d, resource.Deployments.GVK)},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &none, MinReadySeconds: r.d.Spec.MinReadySeconds, Selector: selector, Template: *template,
		},
	}}
	r.all = append(r.all, rs)
	r.new = rs
	r.inherit(rs, revision)
	r.scale(rs, r.newSize())
	rs.reason = fmt.Sprintf("the template is new: revision %d", revision)
	metav1.SetMetaDataAnnotation(&r.d.ObjectMeta, annotationRevision, rs.Annotations[annotationRevision])
	if r.hasDeadline() {
		r.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetCreated", fmt.Sprintf("Created new replica set %q", name))
	}
}

// hash tells templates apart in names and labels. Its letters are as safe as those of generated names.
func (r *rollout) hash() (string, bool) {
	encoded, err := r.d.Spec.Template.Marshal()
	if err != nil {
		return "", false
	}
	seed := string(encoded)
	if n := r.d.Status.CollisionCount; n != nil {
		seed += strconv.Itoa(int(*n))
	}
	return resource.NameSuffix(seed) + resource.NameSuffix(seed+"'"), true
}

func withHash(labels map[string]string, hash string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	out[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	return out
}

// annotate notes on a set what its size is part of.
func (r *rollout) annotate(rs *replicas) {
	if rs.Annotations == nil {
		rs.Annotations = map[string]string{}
	}
	for key, n := range map[string]int32{annotationDesired: r.replicas(), annotationMax: r.replicas() + r.maxSurge()} {
		if value := strconv.Itoa(int(n)); rs.Annotations[key] != value {
			rs.Annotations[key] = value
			rs.reason = "the deployment's size has changed"
		}
	}
}

// cleanUp deletes the oldest revisions beyond the history limit, unless they still have pods.
func (r *rollout) cleanUp() {
	if r.d.Spec.RevisionHistoryLimit == nil {
		return
	}
	var gone []*replicas
	for _, rs := range r.old {
		if rs.DeletionTimestamp == nil {
			gone = append(gone, rs)
		}
	}
	excess := len(gone) - int(*r.d.Spec.RevisionHistoryLimit)
	if excess <= 0 {
		return
	}
	slices.SortFunc(gone, func(a, b *replicas) int {
		if n := revisionOf(a.ReplicaSet) - revisionOf(b.ReplicaSet); n != 0 {
			return int(n)
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, rs := range gone[:excess] {
		if rs.Status.Replicas == 0 && rs.size() == 0 && rs.Generation <= rs.Status.ObservedGeneration {
			rs.delete, rs.reason = true, fmt.Sprintf("revision %d is beyond the history limit", revisionOf(rs.ReplicaSet))
		}
	}
}

// terminating reports whether the namespace is being emptied.
func terminating(view change.View, namespace string) bool {
	rec, ok := view.Get(resource.Namespaces.Key("", namespace))
	if !ok {
		return false
	}
	meta, err := resource.Meta(rec.Value)
	return err == nil && meta.DeletionTimestamp != nil
}
