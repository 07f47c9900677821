package resource

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Nodes is v1 Node.
var Nodes = &Resource{
	Kind:       "nodes",
	GVK:        corev1.SchemeGroupVersion.WithKind("Node"),
	Singular:   "node",
	ShortNames: []string{"no"},
	New:        func() Object { return &corev1.Node{} },
	NewList:    func() runtime.Object { return &corev1.NodeList{} },

	Fields: map[string]func(Object) string{
		"spec.unschedulable": text(func(n *corev1.Node) string { return strconv.FormatBool(n.Spec.Unschedulable) }),
	},
	Status: true,
}
