package resource

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
