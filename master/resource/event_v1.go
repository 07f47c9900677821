package resource

import (
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// EventsV1 is events.k8s.io/v1 Event, served from the stored v1 Events.
var EventsV1 = &Resource{
	Kind:       "events",
	GVK:        eventsv1.SchemeGroupVersion.WithKind("Event"),
	Singular:   "event",
	ShortNames: []string{"ev"},
	Namespaced: true,
	New:        func() Object { return &eventsv1.Event{} },
	NewList:    func() runtime.Object { return &eventsv1.EventList{} },
	FromStored: func(o Object) Object { return servedEvent(o.(*corev1.Event)) },

	// The names are those of the newer version, as Kubernetes has it (pkg/apis/events/v1/conversion.go).
	Fields: map[string]func(Object) string{
		"regarding.kind":            text(func(e *eventsv1.Event) string { return e.Regarding.Kind }),
		"regarding.namespace":       text(func(e *eventsv1.Event) string { return e.Regarding.Namespace }),
		"regarding.name":            text(func(e *eventsv1.Event) string { return e.Regarding.Name }),
		"regarding.uid":             text(func(e *eventsv1.Event) string { return string(e.Regarding.UID) }),
		"regarding.apiVersion":      text(func(e *eventsv1.Event) string { return e.Regarding.APIVersion }),
		"regarding.resourceVersion": text(func(e *eventsv1.Event) string { return e.Regarding.ResourceVersion }),
		"regarding.fieldPath":       text(func(e *eventsv1.Event) string { return e.Regarding.FieldPath }),
		"reason":                    text(func(e *eventsv1.Event) string { return e.Reason }),
		"reportingController":       text(func(e *eventsv1.Event) string { return e.ReportingController }),
		"type":                      text(func(e *eventsv1.Event) string { return e.Type }),
	},
}

// servedEvent is a stored event as events.k8s.io/v1 shows it.
func servedEvent(e *corev1.Event) *eventsv1.Event {
	out := &eventsv1.Event{
		ObjectMeta:               e.ObjectMeta,
		EventTime:                e.EventTime,
		ReportingController:      e.ReportingController,
		ReportingInstance:        e.ReportingInstance,
		Action:                   e.Action,
		Reason:                   e.Reason,
		Regarding:                e.InvolvedObject,
		Related:                  e.Related,
		Note:                     e.Message,
		Type:                     e.Type,
		DeprecatedSource:         e.Source,
		DeprecatedFirstTimestamp: e.FirstTimestamp,
		DeprecatedLastTimestamp:  e.LastTimestamp,
		DeprecatedCount:          e.Count,
	}
	if e.Series != nil {
		out.Series = &eventsv1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	return out
}

// storedEvent is the opposite of servedEvent.
func storedEvent(e *eventsv1.Event) *corev1.Event {
	out := &corev1.Event{
		ObjectMeta:          e.ObjectMeta,
		EventTime:           e.EventTime,
		ReportingController: e.ReportingController,
		ReportingInstance:   e.ReportingInstance,
		Action:              e.Action,
		Reason:              e.Reason,
		InvolvedObject:      e.Regarding,
		Related:             e.Related,
		Message:             e.Note,
		Type:                e.Type,
		Source:              e.DeprecatedSource,
		FirstTimestamp:      e.DeprecatedFirstTimestamp,
		LastTimestamp:       e.DeprecatedLastTimestamp,
		Count:               e.DeprecatedCount,
	}
	if e.Series != nil {
		out.Series = &corev1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	return out
}
