package apiserver

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// admitCreate decides whether an object may come into its namespace. It returns the namespace's record, which
// must be the same when the object is stored: an object never comes into a namespace that is being emptied.
func (c *call) admitCreate(view change.View, o resource.Object) ([]change.Record, error) {
	if !c.res.Namespaced {
		return nil, nil
	}
	rec, namespace, err := c.loadNamespace(view)
	if err != nil {
		return nil, err
	}
	if namespace.DeletionTimestamp != nil || namespace.Status.Phase == corev1.NamespaceTerminating {
		err := apierrors.NewForbidden(c.groupResource(), o.GetName(),
			fmt.Errorf("unable to create new content in namespace %s because it is being terminated", c.namespace))
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: corev1.NamespaceTerminatingCause, Field: "metadata.namespace",
			Message: fmt.Sprintf("namespace %s is being terminated", c.namespace),
		})
		return nil, err
	}
	if err := c.admitPod(namespace, o); err != nil {
		return nil, err
	}
	if pod, ok := o.(*corev1.Pod); ok {
		if why := resource.NoAccount(view, c.namespace, &pod.Spec); why != "" {
			return nil, apierrors.NewForbidden(c.groupResource(), o.GetName(), errors.New(why))
		}
	}
	if text := resource.AccountWarning(o); text != "" {
		c.warn([]string{text})
	}
	if c.res.Volatile {
		return nil, nil // a commit holds volatile objects or durable ones, not both
	}
	return []change.Record{rec}, nil
}

// admitUpdate decides whether an object may become what the client makes of it. It returns records that must be
// the same when it is stored. A pod that runs another image is let in anew: its namespace may be another than it was.
func (c *call) admitUpdate(view change.View, updated, old resource.Object) ([]change.Record, error) {
	if namespace, ok := updated.(*corev1.Namespace); ok {
		c.warn(resource.RelabelWarnings(namespace, old.(*corev1.Namespace), podsIn(view, namespace.Name)))
	}
	if !c.res.Namespaced {
		return nil, nil
	}
	pod, isPod := updated.(*corev1.Pod)
	if !resource.HasPods(updated) || isPod && !resource.RunsOther(pod, old.(*corev1.Pod)) {
		return nil, nil
	}
	rec, namespace, err := c.loadNamespace(view)
	if err == nil {
		err = c.admitPod(namespace, updated)
	}
	if err != nil || !isPod {
		return nil, err
	}
	return []change.Record{rec}, nil
}

// podsIn are the pods of a namespace.
func podsIn(view change.View, namespace string) iter.Seq[*corev1.Pod] {
	return func(yield func(*corev1.Pod) bool) {
		for rec := range view.List(resource.Pods.Kind, namespace) {
			pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
			if err == nil && !yield(pod) {
				return
			}
		}
	}
}

func (c *call) loadNamespace(view change.View) (change.Record, *corev1.Namespace, error) {
	rec, ok := view.Get(resource.Namespaces.Key("", c.namespace))
	if !ok {
		return rec, nil, apierrors.NewNotFound(resource.Namespaces.GVR().GroupResource(), c.namespace)
	}
	namespace, err := resource.As[*corev1.Namespace](resource.Namespaces, rec)
	return rec, namespace, err
}

// admitPod refuses a pod that asks for more than its namespace lets it have, and warns of what makes such pods.
func (c *call) admitPod(namespace *corev1.Namespace, o resource.Object) error {
	if pod, ok := o.(*corev1.Pod); ok {
		if why := resource.PodForbidden(namespace, pod); why != "" {
			return apierrors.NewForbidden(c.groupResource(), o.GetName(), errors.New(why))
		}
	}
	if text := resource.PodWarning(namespace, o); text != "" {
		c.warn([]string{text})
	}
	return nil
}

// immortal namespaces may not be deleted, as in Kubernetes.
var immortal = []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}

// admitDelete decides whether an object may be deleted.
func (c *call) admitDelete(name string) error {
	if c.res == resource.Namespaces && slices.Contains(immortal, name) {
		return apierrors.NewForbidden(c.groupResource(), name, fmt.Errorf("this namespace may not be deleted"))
	}
	return nil
}
