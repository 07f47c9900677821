package apiserver

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// selection is which objects of a kind a list, a watch or a deletion of many is about.
type selection struct {
	res       *resource.Resource
	namespace string // empty: all
	name      string // empty: all; a watch of one object
	labels    labels.Selector
	fields    fields.Selector
	whole     bool // the field selector looks at more than metadata
}

// selection reads the selectors of the query.
func (c *call) selection(opts *metav1.ListOptions) (*selection, error) {
	sel := &selection{res: c.res, namespace: c.namespace, name: c.name}
	var err error
	if sel.labels, err = labels.Parse(opts.LabelSelector); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("unable to parse requirement: %v", err))
	}
	if sel.fields, err = fields.ParseSelector(opts.FieldSelector); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	for _, want := range sel.fields.Requirements() {
		switch want.Field {
		case "metadata.name", "metadata.namespace":
			continue
		}
		if c.res.Fields[want.Field] == nil {
			gvr := c.res.GVR()
			return nil, apierrors.NewBadRequest(fmt.Sprintf("Unable to find %q that match label selector %q, field selector %q: field label not supported: %s",
				gvr.String(), opts.LabelSelector, opts.FieldSelector, want.Field))
		}
		sel.whole = true
	}
	return sel, nil
}

// matches reports whether a record is of an object that is selected.
func (s *selection) matches(rec change.Record) (bool, error) {
	if !rec.Exists() {
		return false, nil
	}
	if s.res.Render == nil && !s.names(rec.Key.Namespace, rec.Key.Name) {
		return false, nil
	}
	if s.res.Render == nil && !s.whole && s.labels.Empty() {
		return s.fields.Empty() || s.fields.Matches(s.fieldsOf(rec.Key.Namespace, rec.Key.Name, nil)), nil
	}
	if s.whole || s.res.Render != nil {
		o, err := object(s.res, rec)
		if o == nil || err != nil {
			return false, err
		}
		return s.names(o.GetNamespace(), o.GetName()) && s.labels.Matches(labels.Set(o.GetLabels())) &&
			s.fields.Matches(s.fieldsOf(o.GetNamespace(), o.GetName(), o)), nil
	}
	m, err := metadata(s.res, rec)
	if err != nil {
		return false, err
	}
	return s.labels.Matches(labels.Set(m.GetLabels())) &&
		s.fields.Matches(s.fieldsOf(rec.Key.Namespace, rec.Key.Name, nil)), nil
}

func (s *selection) names(namespace, name string) bool {
	return (s.namespace == "" || s.namespace == namespace) && (s.name == "" || s.name == name)
}

// fieldsOf is the fields that the selector looks at.
func (s *selection) fieldsOf(namespace, name string, o resource.Object) fields.Set {
	set := fields.Set{}
	for _, want := range s.fields.Requirements() {
		switch want.Field {
		case "metadata.name":
			set[want.Field] = name
		case "metadata.namespace":
			set[want.Field] = namespace
		default:
			set[want.Field] = s.res.Fields[want.Field](o)
		}
	}
	return set
}
