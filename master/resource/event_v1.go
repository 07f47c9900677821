package resource

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// EventsV1 is events.k8s.io/v1 Event, served from the stored v1 Events.
var EventsV1 = &Resource{
	Kind:       "events",
	GVK:        eventsv1.SchemeGroupVersion.WithKind("Event"),
	Singular:   "event",
	ShortNames: []string{"ev"},
	Namespaced: true,

	Chronological: true,

	New:        func() Object { return &eventsv1.Event{} },
	NewList:    func() runtime.Object { return &eventsv1.EventList{} },
	FromStored: func(o Object) Object { return servedEvent(o.(*corev1.Event)) },

	PrepareCreate: creating(nothing[*eventsv1.Event]),
	PrepareUpdate: updating(nothingToKeep[*eventsv1.Event]),
	Validate:      check(validateEventV1),
	Columns:       eventColumns,
	Row:           row(func(e *eventsv1.Event, now time.Time) []any { return eventRow(storedEvent(e), now) }),

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

// validateEventV1 checks what the newer API demands of a new event (pkg/apis/core/validation/events.go).
func validateEventV1(e, old *eventsv1.Event) field.ErrorList {
	errs := validateEventPlace(e.Namespace, e.Regarding, field.NewPath("regarding", "namespace"))
	errs = append(errs, validateMeta(e, old, true, validation.NameIsDNSSubdomain)...)
	if old != nil {
		return errs // events are only ever counted on; what is stored may come from the older API
	}
	if e.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
	}
	for _, required := range []struct {
		name, value string
		most        int
	}{
		{"reportingController", e.ReportingController, 253},
		{"reportingInstance", e.ReportingInstance, 128},
		{"action", e.Action, 128},
		{"reason", e.Reason, 128},
	} {
		path := field.NewPath(required.name)
		if required.value == "" {
			errs = append(errs, field.Required(path, ""))
		}
		if len(required.value) > required.most {
			errs = append(errs, field.Invalid(path, "", fmt.Sprintf("can have at most %d characters", required.most)))
		}
	}
	errs = append(errs, oneOf(field.NewPath("type"), e.Type, corev1.EventTypeNormal, corev1.EventTypeWarning)...)
	if len(e.Note) > maxEventMessage {
		errs = append(errs, field.Invalid(field.NewPath("note"), "", fmt.Sprintf("can have at most %d characters", maxEventMessage)))
	}
	return errs
}
