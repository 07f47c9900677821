package resource

import (
	"fmt"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/master/change"
)

// Object is a Kubernetes object of k8s.io/api.
type Object interface {
	runtime.Object
	metav1.Object
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// Resource is everything that the API needs to know of one kind; each kind is one small file of this package
// that fills one in. A nil function means that the kind has nothing special to do there.
type Resource struct {
	Kind       change.Kind // as in paths: "pods", "deployments.apps"
	GVK        schema.GroupVersionKind
	Singular   string
	ShortNames []string
	Categories []string // "all" makes `kubectl get all` list it
	Namespaced bool
	Volatile   bool // lives in memory only
	ReadOnly   bool // clients may only get, list and watch it
	Asked      bool // a question: clients may only create it, and get the answer; see Reviews
	Measured   bool // made at each request from what nodes say then: clients may get and list it, not watch

	// Chronological kinds are listed in the order in which their objects were last written, the newest last, not by
	// name: kubectl sorts events by their times, which have whole seconds, and keeps the order of equal ones.
	Chronological bool

	New     func() Object
	NewList func() runtime.Object

	// Default fills in what the client left out, as Kubernetes does; called before Validate.
	Default func(Object)
	// PrepareCreate and PrepareUpdate reset what a client may not set, such as status; update gets the
	// stored object as old. They also keep metadata.generation.
	PrepareCreate func(Object)
	PrepareUpdate func(updated, old Object)
	// Validate checks an object; old is nil for a create. It also refuses every field that Skerry doesn't
	// act upon, with field.Forbidden(path, NotSupported).
	Validate func(updated, old Object) field.ErrorList

	// Columns and Row make the table that kubectl prints: one cell a column. now is what ages count to.
	Columns []metav1.TableColumnDefinition
	Row     func(o Object, now time.Time) []any

	// Fields are the field selectors besides metadata.name and metadata.namespace.
	Fields map[string]func(Object) string
	// Indexed names the Fields, and the pseudo field "owner" (uid of the controller), that the store keeps
	// an index of. Such a field's value is the text at that path of the object, nothing computed.
	Indexed []string

	Status bool // has a status subresource, whose updates touch status only; see CopyStatus
	Scale  *Scale

	Deletion *Deletion // how the API deletes objects of this kind

	// RenderedFrom names the volatile kind whose records Render turns into objects of this kind, which the
	// store holds none of. Render returns nil for a record that has no object.
	RenderedFrom change.Kind
	Render       func(change.Record) Object

	// FromStored is set where a second API version of a kind is served from the same stored objects: Kind is
	// then that of the version that is stored, and Decode and Encode convert.
	FromStored func(Object) Object
}

// Scale reads and writes the number of replicas for the scale subresource.
type Scale struct {
	Get func(Object) (spec, status int32, selector string)
	Set func(Object, int32)
}

// NotSupported is the detail of every refusal of a field that Kubernetes knows and Skerry does not act upon.
const NotSupported = "not supported by skerry"

// Plural is the last part of the kind's path.
func (r *Resource) Plural() string { return r.GVR().Resource }

// GVR is the kind's group, version and plural.
func (r *Resource) GVR() schema.GroupVersionResource {
	return r.GVK.GroupVersion().WithResource(schema.ParseGroupResource(string(r.Kind)).Resource)
}

// Key is the key of an object of this kind.
func (r *Resource) Key(namespace, name string) change.Key {
	return change.Key{Kind: r.Kind, Namespace: namespace, Name: name}
}

// Encode is the form in which the store holds an object: without resourceVersion, kind and apiVersion, so
// that equal objects have equal encodings.
func Encode(o Object) ([]byte, error) {
	if e, ok := o.(*eventsv1.Event); ok {
		o = storedEvent(e)
	}
	rv := o.GetResourceVersion()
	o.SetResourceVersion("")
	defer o.SetResourceVersion(rv)
	value, err := o.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	return value, nil
}

// Decode is the object of a record, with its resourceVersion, kind and apiVersion set. The result is the
// caller's own.
func (r *Resource) Decode(rec change.Record) (Object, error) {
	o := r.New()
	if r.FromStored != nil {
		o = ByKind(r.Kind).New()
	}
	if err := o.Unmarshal(rec.Value); err != nil {
		return nil, fmt.Errorf("decode %s: %w", rec.Key, err)
	}
	if r.FromStored != nil {
		o = r.FromStored(o)
	}
	o.SetResourceVersion(rec.Rev.String())
	o.GetObjectKind().SetGroupVersionKind(r.GVK)
	return o, nil
}
