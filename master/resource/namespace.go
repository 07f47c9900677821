package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Namespaces is v1 Namespace.
var Namespaces = &Resource{
	Kind:       "namespaces",
	GVK:        corev1.SchemeGroupVersion.WithKind("Namespace"),
	Singular:   "namespace",
	ShortNames: []string{"ns"},
	New:        func() Object { return &corev1.Namespace{} },
	NewList:    func() runtime.Object { return &corev1.NamespaceList{} },

	Default: one(labelNamespace),
	PrepareCreate: creating(func(n *corev1.Namespace) {
		labelNamespace(n)
		n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
		n.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
	}),
	PrepareUpdate: updating(func(updated, old *corev1.Namespace) {
		updated.Spec, updated.Status = old.Spec, old.Status
	}),
	Validate: check(func(n, old *corev1.Namespace) field.ErrorList {
		return append(validateMeta(n, old, false, validation.ValidateNamespaceName), validatePodPolicy(n, old)...)
	}),

	Columns: []metav1.TableColumnDefinition{
		nameColumn, column("Status", "string", "The status of the namespace"), ageColumn,
	},
	Row: row(func(n *corev1.Namespace, now time.Time) []any {
		status := n.Status.Phase
		if n.DeletionTimestamp != nil {
			status = corev1.NamespaceTerminating
		}
		return []any{n.Name, string(status), age(n.CreationTimestamp, now)}
	}),

	Fields: map[string]func(Object) string{
		"status.phase": text(func(n *corev1.Namespace) string { return string(n.Status.Phase) }),
	},
	Status:   true,
	Deletion: namespaceDeletion,
}

// labelNamespace gives a namespace the label with its name, by which selectors find it. A generated name is
// there only when the object is created.
func labelNamespace(n *corev1.Namespace) {
	if n.Name == "" {
		return
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	n.Labels[corev1.LabelMetadataName] = n.Name
}
