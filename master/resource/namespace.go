package resource

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Namespaces is v1 Namespace.
var Namespaces = &Resource{
	Kind:       "namespaces",
	GVK:        corev1.SchemeGroupVersion.WithKind("Namespace"),
	Singular:   "namespace",
	ShortNames: []string{"ns"},
	New:        func() Object { return &corev1.Namespace{} },
	NewList:    func() runtime.Object { return &corev1.NamespaceList{} },

	Fields: map[string]func(Object) string{
		"status.phase": text(func(n *corev1.Namespace) string { return string(n.Status.Phase) }),
	},
	Status:   true,
	Deletion: namespaceDeletion,
}
