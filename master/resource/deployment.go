package resource

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Deployments is apps/v1 Deployment.
var Deployments = &Resource{
	Kind:       "deployments.apps",
	GVK:        appsv1.SchemeGroupVersion.WithKind("Deployment"),
	Singular:   "deployment",
	ShortNames: []string{"deploy"},
	Categories: []string{"all"},
	Namespaced: true,
	New:        func() Object { return &appsv1.Deployment{} },
	NewList:    func() runtime.Object { return &appsv1.DeploymentList{} },

	Status: true,
	Scale: &Scale{
		Get: func(o Object) (int32, int32, string) {
			d := o.(*appsv1.Deployment)
			return replicas(d.Spec.Replicas), d.Status.Replicas, selectorText(d.Spec.Selector)
		},
		Set: func(o Object, n int32) { o.(*appsv1.Deployment).Spec.Replicas = &n },
	},
}
