package apiserver

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/master/resource"
)

// part is what of an object a path shows and lets a client write: the whole object, its status, its scale.
type part struct {
	kind schema.GroupVersionKind // of what is sent and shown
	new  func() resource.Object
	// show is the part of an object; nil: the object itself.
	show func(resource.Object) resource.Object
	// put is the object with the client's input in it, ready to be stored. It may keep and change input, not
	// old.
	put func(input, old resource.Object) (resource.Object, error)
}

// view is the part of an object.
func (p part) view(o resource.Object) resource.Object {
	if p.show == nil {
		return o
	}
	return p.show(o)
}

// whole is the object itself.
func (c *call) whole() part {
	return part{kind: c.res.GVK, new: c.res.New, put: func(updated, old resource.Object) (resource.Object, error) {
		errs := c.prepareUpdate(updated, old)
		return updated, c.invalid(old.GetName(), errs)
	}}
}

// prepareUpdate makes the client's object one that can be stored in place of old.
func (c *call) prepareUpdate(updated, old resource.Object) field.ErrorList {
	updated.SetUID(old.GetUID())
	updated.SetCreationTimestamp(old.GetCreationTimestamp())
	updated.SetDeletionTimestamp(old.GetDeletionTimestamp())
	updated.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	updated.SetGeneration(old.GetGeneration())
	dropServerFields(updated)
	if c.res.Default != nil {
		c.res.Default(updated)
	}
	if c.res.PrepareUpdate != nil {
		c.res.PrepareUpdate(updated, old)
	}
	if c.res.Validate == nil {
		return nil
	}
	return c.res.Validate(updated, old)
}

// dropServerFields removes metadata that Kubernetes keeps and Skerry does not.
func dropServerFields(o resource.Object) {
	o.SetManagedFields(nil)
	o.SetSelfLink("")
}

// status is the status subresource: it writes the status and nothing else.
func (c *call) status() part {
	return part{kind: c.res.GVK, new: c.res.New, put: func(input, old resource.Object) (resource.Object, error) {
		updated := old.DeepCopyObject().(resource.Object)
		resource.CopyStatus(updated, input)
		return updated, nil
	}}
}

// scale is the scale subresource, autoscaling/v1 Scale: it writes the number of replicas and nothing else.
func (c *call) scale() part {
	kind := autoscalingv1.SchemeGroupVersion.WithKind("Scale")
	show := func(o resource.Object) resource.Object {
		spec, status, selector := c.res.Scale.Get(o)
		s := &autoscalingv1.Scale{
			ObjectMeta: metav1.ObjectMeta{
				Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
				ResourceVersion: o.GetResourceVersion(), CreationTimestamp: o.GetCreationTimestamp(),
			},
			Spec:   autoscalingv1.ScaleSpec{Replicas: spec},
			Status: autoscalingv1.ScaleStatus{Replicas: status, Selector: selector},
		}
		s.SetGroupVersionKind(kind)
		return s
	}
	put := func(input, old resource.Object) (resource.Object, error) {
		replicas := input.(*autoscalingv1.Scale).Spec.Replicas
		if replicas < 0 {
			return nil, apierrors.NewInvalid(kind.GroupKind(), old.GetName(), field.ErrorList{field.Invalid(
				field.NewPath("spec", "replicas"), replicas, validation.IsNegativeErrorMsg)})
		}
		updated := old.DeepCopyObject().(resource.Object)
		c.res.Scale.Set(updated, replicas)
		return updated, c.invalid(old.GetName(), c.prepareUpdate(updated, old))
	}
	return part{kind: kind, new: func() resource.Object { return &autoscalingv1.Scale{} }, show: show, put: put}
}
