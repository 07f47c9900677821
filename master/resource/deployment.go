package resource

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
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

	Default: one(defaultDeployment),
	PrepareCreate: creating(func(d *appsv1.Deployment) {
		d.Status = appsv1.DeploymentStatus{}
		d.Generation = 1
	}),
	PrepareUpdate: updating(func(updated, old *appsv1.Deployment) {
		updated.Status = old.Status
		// Annotations count too, as in Kubernetes: they are copied to the ReplicaSets.
		countSpec(updated, !same(updated.Spec, old.Spec) || !same(updated.Annotations, old.Annotations))
	}),
	Validate: check(validateDeployment),

	Columns: []metav1.TableColumnDefinition{
		nameColumn,
		column("Ready", "string", "Number of the pod with ready state"),
		column("Up-to-date", "string", appsv1.DeploymentStatus{}.SwaggerDoc()["updatedReplicas"]),
		column("Available", "string", appsv1.DeploymentStatus{}.SwaggerDoc()["availableReplicas"]),
		ageColumn,
		wide(column("Containers", "string", "Names of each container in the template.")),
		wide(column("Images", "string", "Images referenced by each container in the template.")),
		wide(column("Selector", "string", appsv1.DeploymentSpec{}.SwaggerDoc()["selector"])),
	},
	Row: row(func(d *appsv1.Deployment, now time.Time) []any {
		names, images := containerCells(d.Spec.Template.Spec.Containers)
		return []any{
			d.Name,
			fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, replicas(d.Spec.Replicas)),
			int64(d.Status.UpdatedReplicas), int64(d.Status.AvailableReplicas),
			age(d.CreationTimestamp, now), names, images, selectorText(d.Spec.Selector),
		}
	}),

	Status: true,
	Scale: &Scale{
		Get: func(o Object) (int32, int32, string) {
			d := o.(*appsv1.Deployment)
			return replicas(d.Spec.Replicas), d.Status.Replicas, selectorText(d.Spec.Selector)
		},
		Set: func(o Object, n int32) { o.(*appsv1.Deployment).Spec.Replicas = &n },
	},
}

// defaultDeployment fills in what Kubernetes does (pkg/apis/apps/v1/defaults.go).
func defaultDeployment(d *appsv1.Deployment) {
	s := &d.Spec
	if s.Replicas == nil {
		s.Replicas = new(int32(1))
	}
	if s.Strategy.Type == "" {
		s.Strategy.Type = appsv1.RollingUpdateDeploymentStrategyType
	}
	if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		if s.Strategy.RollingUpdate == nil {
			s.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
		}
		// A pod that must be single can't be replaced before it has ended: there is no surge, and one may be missing.
		unavailable, surge := intstr.FromString("25%"), intstr.FromString("25%")
		if s.Template.Annotations[PartitionPolicy] == PolicyStop {
			unavailable, surge = intstr.FromInt32(1), intstr.FromInt32(0)
		}
		if s.Strategy.RollingUpdate.MaxUnavailable == nil {
			s.Strategy.RollingUpdate.MaxUnavailable = &unavailable
		}
		if s.Strategy.RollingUpdate.MaxSurge == nil {
			s.Strategy.RollingUpdate.MaxSurge = &surge
		}
	}
	if s.RevisionHistoryLimit == nil {
		s.RevisionHistoryLimit = new(int32(10))
	}
	if s.ProgressDeadlineSeconds == nil {
		s.ProgressDeadlineSeconds = new(int32(600))
	}
	defaultPodSpec(&s.Template.Spec)
}
