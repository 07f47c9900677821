package resource

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Events is v1 Event; it is the version that is stored.
var Events = &Resource{
	Kind:       "events",
	GVK:        corev1.SchemeGroupVersion.WithKind("Event"),
	Singular:   "event",
	ShortNames: []string{"ev"},
	Namespaced: true,

	Chronological: true,

	New:     func() Object { return &corev1.Event{} },
	NewList: func() runtime.Object { return &corev1.EventList{} },

	PrepareCreate: creating(nothing[*corev1.Event]),
	PrepareUpdate: updating(nothingToKeep[*corev1.Event]),
	Validate:      check(validateEvent),
	Columns:       eventColumns,
	Row:           row(eventRow),

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

var eventColumns = []metav1.TableColumnDefinition{
	column("Last Seen", "string", corev1.Event{}.SwaggerDoc()["lastTimestamp"]),
	column("Type", "string", corev1.Event{}.SwaggerDoc()["type"]),
	column("Reason", "string", corev1.Event{}.SwaggerDoc()["reason"]),
	column("Object", "string", corev1.Event{}.SwaggerDoc()["involvedObject"]),
	wide(column("Subobject", "string", corev1.ObjectReference{}.SwaggerDoc()["fieldPath"])),
	wide(column("Source", "string", corev1.Event{}.SwaggerDoc()["source"])),
	column("Message", "string", corev1.Event{}.SwaggerDoc()["message"]),
	wide(column("First Seen", "string", corev1.Event{}.SwaggerDoc()["firstTimestamp"])),
	wide(column("Count", "string", corev1.Event{}.SwaggerDoc()["count"])),
	wide(nameColumn),
}

func eventRow(e *corev1.Event, now time.Time) []any {
	first := age(e.FirstTimestamp, now)
	if e.FirstTimestamp.IsZero() {
		first = age(metav1.Time(e.EventTime), now)
	}
	last, count := age(e.LastTimestamp, now), e.Count
	if e.LastTimestamp.IsZero() {
		last = first
	}
	switch {
	case e.Series != nil:
		last, count = age(metav1.Time(e.Series.LastObservedTime), now), e.Series.Count
	case count == 0:
		count = 1 // a single event of the newer API counts nothing
	}
	object := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		object += "/" + e.InvolvedObject.Name
	}
	source := eventSource(e)
	if host := or(e.Source.Host, e.ReportingInstance); host != "" {
		source = fmt.Sprintf("%s, %s", source, host)
	}
	return []any{
		last, e.Type, e.Reason, object, e.InvolvedObject.FieldPath, source, strings.TrimSpace(e.Message),
		first, int64(count), e.Name,
	}
}

func validateEvent(e, old *corev1.Event) field.ErrorList {
	errs := validateEventPlace(e.Namespace, e.InvolvedObject, field.NewPath("involvedObject", "namespace"))
	return append(errs, validateMeta(e, old, true, validation.NameIsDNSSubdomain)...)
}

// validateEventPlace checks that an event lives where the object lives that it is about; for a cluster-wide
// object in default or kube-system.
func validateEventPlace(namespace string, about corev1.ObjectReference, path *field.Path) field.ErrorList {
	clusterWide := about.Namespace == "" && (namespace == metav1.NamespaceDefault || namespace == metav1.NamespaceSystem)
	if clusterWide || about.Namespace == namespace {
		return nil
	}
	return field.ErrorList{field.Invalid(path, about.Namespace, "does not match event.namespace")}
}
