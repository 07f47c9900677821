package resource

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Events is v1 Event; it is the version that is stored.
var Events = &Resource{
	Kind:       "events",
	GVK:        corev1.SchemeGroupVersion.WithKind("Event"),
	Singular:   "event",
	ShortNames: []string{"ev"},
	Namespaced: true,
	New:        func() Object { return &corev1.Event{} },
	NewList:    func() runtime.Object { return &corev1.EventList{} },

	Fields: map[string]func(Object) string{
		"involvedObject.kind":            text(func(e *corev1.Event) string { return e.InvolvedObject.Kind }),
		"involvedObject.namespace":       text(func(e *corev1.Event) string { return e.InvolvedObject.Namespace }),
		"involvedObject.name":            text(func(e *corev1.Event) string { return e.InvolvedObject.Name }),
		"involvedObject.uid":             text(func(e *corev1.Event) string { return string(e.InvolvedObject.UID) }),
		"involvedObject.apiVersion":      text(func(e *corev1.Event) string { return e.InvolvedObject.APIVersion }),
		"involvedObject.resourceVersion": text(func(e *corev1.Event) string { return e.InvolvedObject.ResourceVersion }),
		"involvedObject.fieldPath":       text(func(e *corev1.Event) string { return e.InvolvedObject.FieldPath }),
		"reason":                         text(func(e *corev1.Event) string { return e.Reason }),
		"reportingComponent":             text(func(e *corev1.Event) string { return e.ReportingController }),
		"source":                         text(eventSource),
		"type":                           text(func(e *corev1.Event) string { return e.Type }),
	},
	Indexed: []string{"involvedObject.uid"},
}

// eventSource is the component an event comes from, wherever the reporter put it.
func eventSource(e *corev1.Event) string {
	if e.Source.Component != "" {
		return e.Source.Component
	}
	return e.ReportingController
}
