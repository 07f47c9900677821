package resource

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Services is v1 Service.
var Services = &Resource{
	Kind:       "services",
	GVK:        corev1.SchemeGroupVersion.WithKind("Service"),
	Singular:   "service",
	ShortNames: []string{"svc"},
	Categories: []string{"all"},
	Namespaced: true,
	New:        func() Object { return &corev1.Service{} },
	NewList:    func() runtime.Object { return &corev1.ServiceList{} },

	Fields: map[string]func(Object) string{
		"spec.clusterIP": text(func(s *corev1.Service) string { return s.Spec.ClusterIP }),
		"spec.type":      text(func(s *corev1.Service) string { return string(s.Spec.Type) }),
	},
	Status: true,
}
