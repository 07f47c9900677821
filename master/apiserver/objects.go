package apiserver

import (
	"iter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// stored is the kind under which the records of a resource lie.
func stored(r *resource.Resource) change.Kind {
	if r.RenderedFrom != "" {
		return r.RenderedFrom
	}
	return r.Kind
}

// object is the object of a record; nil when the record has none.
func object(r *resource.Resource, rec change.Record) (resource.Object, error) {
	if !rec.Exists() {
		return nil, nil
	}
	if r.Render != nil {
		return r.Render(rec), nil
	}
	return r.Decode(rec)
}

// metadata is the metadata of a record alone, which is cheaper than the object; nil when there is no object.
// Every Kubernetes object has its metadata in the same protobuf field.
func metadata(r *resource.Resource, rec change.Record) (metav1.Object, error) {
	if r.Render != nil {
		o, err := object(r, rec)
		if o == nil {
			return nil, err
		}
		return o, err
	}
	return partialOf(rec)
}

// find is the record of an object, or one that doesn't exist.
func find(view change.View, r *resource.Resource, namespace, name string) change.Record {
	if r.Render == nil {
		rec, _ := view.Get(r.Key(namespace, name))
		return rec
	}
	rec, ok := view.Get(change.Key{Kind: r.RenderedFrom, Name: name})
	if !ok {
		return change.Record{}
	}
	if o := r.Render(rec); o == nil || o.GetNamespace() != namespace {
		return change.Record{}
	}
	return rec
}

// records yields the records that may match: all of the kind, or those in an index that the selection names.
func records(view change.View, r *resource.Resource, sel *selection) iter.Seq[change.Record] {
	if r.Render != nil {
		return view.List(r.RenderedFrom, "")
	}
	for _, name := range r.Indexed {
		if value, ok := sel.fields.RequiresExactMatch(name); ok && value != "" {
			return view.Indexed(r.Kind, name, value)
		}
	}
	return view.List(r.Kind, sel.namespace)
}
