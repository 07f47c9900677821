package resource

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ConfigMaps is v1 ConfigMap.
var ConfigMaps = &Resource{
	Kind:       "configmaps",
	GVK:        corev1.SchemeGroupVersion.WithKind("ConfigMap"),
	Singular:   "configmap",
	ShortNames: []string{"cm"},
	Namespaced: true,
	New:        func() Object { return &corev1.ConfigMap{} },
	NewList:    func() runtime.Object { return &corev1.ConfigMapList{} },
}
