package apiserver

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// partialOf is the metadata of a record as an object of its own.
func partialOf(rec change.Record) (*metav1.PartialObjectMetadata, error) {
	p := &metav1.PartialObjectMetadata{}
	if err := p.Unmarshal(rec.Value); err != nil {
		return nil, fmt.Errorf("decode metadata of %s: %w", rec.Key, err)
	}
	p.ResourceVersion = rec.Rev.String()
	p.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind(asPartial))
	return p, nil
}

// partial is the metadata of an object as an object of its own.
func partial(o resource.Object) *metav1.PartialObjectMetadata {
	p := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name:                       o.GetName(),
		GenerateName:               o.GetGenerateName(),
		Namespace:                  o.GetNamespace(),
		UID:                        o.GetUID(),
		ResourceVersion:            o.GetResourceVersion(),
		Generation:                 o.GetGeneration(),
		CreationTimestamp:          o.GetCreationTimestamp(),
		DeletionTimestamp:          o.GetDeletionTimestamp(),
		DeletionGracePeriodSeconds: o.GetDeletionGracePeriodSeconds(),
		Labels:                     o.GetLabels(),
		Annotations:                o.GetAnnotations(),
		OwnerReferences:            o.GetOwnerReferences(),
		Finalizers:                 o.GetFinalizers(),
	}}
	p.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind(asPartial))
	return p
}

// fallback are the columns of a kind that has none of its own.
var fallback = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: "Name must be unique within a namespace."},
	{Name: "Created At", Type: "date", Description: "When the object was created."},
}

func columns(r *resource.Resource) []metav1.TableColumnDefinition {
	if r.Row == nil {
		return fallback
	}
	return r.Columns
}

// tableRow is an object's row; include says what of the object goes with it.
func tableRow(r *resource.Resource, o resource.Object, include metav1.IncludeObjectPolicy, now time.Time) metav1.TableRow {
	row := metav1.TableRow{}
	if r.Row != nil {
		row.Cells = r.Row(o, now)
	} else {
		row.Cells = []any{o.GetName(), o.GetCreationTimestamp().UTC().Format(time.RFC3339)}
	}
	switch include {
	case metav1.IncludeObject:
		row.Object = runtime.RawExtension{Object: o}
	case metav1.IncludeNone:
	default:
		row.Object = runtime.RawExtension{Object: partial(o)}
	}
	return row
}

// tableOf is the table of a single object.
func tableOf(r *resource.Resource, o resource.Object, include metav1.IncludeObjectPolicy, now time.Time) *metav1.Table {
	t := &metav1.Table{
		ListMeta:          metav1.ListMeta{ResourceVersion: o.GetResourceVersion()},
		ColumnDefinitions: columns(r),
		Rows:              []metav1.TableRow{tableRow(r, o, include, now)},
	}
	t.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind(asTable))
	return t
}

// includeObject reads the query parameter of that name.
func (c *call) includeObject() metav1.IncludeObjectPolicy {
	return metav1.IncludeObjectPolicy(c.query.Get("includeObject"))
}

// shown is an object in the form that the client asked for. Ages count to this moment: a watch may have begun long ago.
func (c *call) shown(f format, o resource.Object) runtime.Object {
	switch f.as {
	case asTable:
		return tableOf(c.res, o, c.includeObject(), c.Clock().Wall)
	case asPartial:
		return partial(o)
	}
	return o
}
