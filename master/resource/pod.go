package resource

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Pods is v1 Pod.
var Pods = &Resource{
	Kind:       "pods",
	GVK:        corev1.SchemeGroupVersion.WithKind("Pod"),
	Singular:   "pod",
	ShortNames: []string{"po"},
	Categories: []string{"all"},
	Namespaced: true,
	New:        func() Object { return &corev1.Pod{} },
	NewList:    func() runtime.Object { return &corev1.PodList{} },

	Default: one(defaultPod),
	PrepareCreate: creating(func(p *corev1.Pod) {
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: QOSClass(&p.Spec)}
		p.Generation = 1
	}),
	PrepareUpdate: updating(func(updated, old *corev1.Pod) {
		updated.Status = old.Status
		keepScheduled(updated, old)
		countSpec(updated, !same(updated.Spec, old.Spec))
	}),
	Validate: check(validatePod),
	Columns:  podColumns,
	Row:      row(podRow),

	Fields: map[string]func(Object) string{
		"spec.nodeName":            text(func(p *corev1.Pod) string { return p.Spec.NodeName }),
		"spec.restartPolicy":       text(func(p *corev1.Pod) string { return string(p.Spec.RestartPolicy) }),
		"spec.schedulerName":       text(func(p *corev1.Pod) string { return p.Spec.SchedulerName }),
		"spec.serviceAccountName":  text(func(p *corev1.Pod) string { return p.Spec.ServiceAccountName }),
		"spec.hostNetwork":         text(func(p *corev1.Pod) string { return strconv.FormatBool(p.Spec.HostNetwork) }),
		"status.phase":             text(func(p *corev1.Pod) string { return string(p.Status.Phase) }),
		"status.podIP":             text(func(p *corev1.Pod) string { return p.Status.PodIP }),
		"status.nominatedNodeName": text(func(p *corev1.Pod) string { return p.Status.NominatedNodeName }),
	},
	Indexed:  []string{"spec.nodeName", OwnerIndex},
	Status:   true,
	Deletion: podDeletion,
}

// keepScheduled keeps a client from changing who has bound a pod: that decides where it may run.
func keepScheduled(updated, old *corev1.Pod) {
	if by, ok := old.Annotations[AnnotationScheduled]; ok {
		metav1.SetMetaDataAnnotation(&updated.ObjectMeta, AnnotationScheduled, by)
	} else if old.Spec.NodeName != "" {
		delete(updated.Annotations, AnnotationScheduled)
	}
}
