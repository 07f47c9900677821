package resource

import (
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ReplicaSets is apps/v1 ReplicaSet.
var ReplicaSets = &Resource{
	Kind:       "replicasets.apps",
	GVK:        appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
	Singular:   "replicaset",
	ShortNames: []string{"rs"},
	Categories: []string{"all"},
	Namespaced: true,
	New:        func() Object { return &appsv1.ReplicaSet{} },
	NewList:    func() runtime.Object { return &appsv1.ReplicaSetList{} },

	Default: one(func(rs *appsv1.ReplicaSet) {
		if rs.Spec.Replicas == nil {
			rs.Spec.Replicas = new(int32(1))
		}
		defaultPodSpec(&rs.Spec.Template.Spec)
	}),
	PrepareCreate: creating(func(rs *appsv1.ReplicaSet) {
		rs.Status = appsv1.ReplicaSetStatus{}
		rs.Generation = 1
	}),
	PrepareUpdate: updating(func(updated, old *appsv1.ReplicaSet) {
		updated.Status = old.Status
		countSpec(updated, !same(updated.Spec, old.Spec))
	}),
	Validate: check(validateReplicaSet),

	Columns: []metav1.TableColumnDefinition{
		nameColumn,
		column("Desired", "integer", appsv1.ReplicaSetSpec{}.SwaggerDoc()["replicas"]),
		column("Current", "integer", appsv1.ReplicaSetStatus{}.SwaggerDoc()["replicas"]),
		column("Ready", "integer", appsv1.ReplicaSetStatus{}.SwaggerDoc()["readyReplicas"]),
		ageColumn,
		wide(column("Containers", "string", "Names of each container in the template.")),
		wide(column("Images", "string", "Images referenced by each container in the template.")),
		wide(column("Selector", "string", appsv1.ReplicaSetSpec{}.SwaggerDoc()["selector"])),
	},
	Row: row(func(rs *appsv1.ReplicaSet, now time.Time) []any {
		names, images := containerCells(rs.Spec.Template.Spec.Containers)
		return []any{
			rs.Name, int64(replicas(rs.Spec.Replicas)), int64(rs.Status.Replicas), int64(rs.Status.ReadyReplicas),
			age(rs.CreationTimestamp, now), names, images, metav1.FormatLabelSelector(rs.Spec.Selector),
		}
	}),

	Fields: map[string]func(Object) string{
		"status.replicas": text(func(rs *appsv1.ReplicaSet) string { return strconv.Itoa(int(rs.Status.Replicas)) }),
	},
	Indexed: []string{OwnerIndex},
	Status:  true,
	Scale: &Scale{
		Get: func(o Object) (int32, int32, string) {
			rs := o.(*appsv1.ReplicaSet)
			return replicas(rs.Spec.Replicas), rs.Status.Replicas, selectorText(rs.Spec.Selector)
		},
		Set: func(o Object, n int32) { o.(*appsv1.ReplicaSet).Spec.Replicas = &n },
	},
}

func validateReplicaSet(rs, old *appsv1.ReplicaSet) field.ErrorList {
	errs := replicaSetFields.refuse(rs)
	path := field.NewPath("spec")
	errs = append(errs, validateMeta(rs, old, true, validation.NameIsDNSSubdomain)...)
	if old != nil {
		errs = append(errs, validation.ValidateImmutableField(rs.Spec.Selector, old.Spec.Selector, path.Child("selector"))...)
	}
	errs = append(errs, validatePolicyPlace(rs.Annotations)...)
	s := &rs.Spec
	errs = append(errs, notNegative(path.Child("replicas"), s.Replicas)...)
	errs = append(errs, notNegative(path.Child("minReadySeconds"), &s.MinReadySeconds)...)
	errs = append(errs, validateSelector(s.Selector, "replicaset", path.Child("selector"))...)
	return append(errs, validateTemplate(&s.Template, s.Selector, path.Child("template"))...)
}
