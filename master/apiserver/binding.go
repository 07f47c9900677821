package apiserver

import (
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/master/resource"
)

var bindingKind = corev1.SchemeGroupVersion.WithKind("Binding")

// bind is the binding subresource of pods: a scheduler of the user's own says on which node a pod runs.
func (c *call) bind() error {
	opts, err := c.createOptions()
	if err != nil {
		return err
	}
	f, err := c.format()
	if err != nil {
		return err
	}
	binding := &corev1.Binding{}
	if err := c.decode(bindingKind, binding, opts.FieldValidation); err != nil {
		return err
	}
	if err := c.checkIdentity(binding); err != nil {
		return err
	}
	if errs := checkTarget(&binding.Target); len(errs) > 0 {
		return apierrors.NewInvalid(bindingKind.GroupKind(), c.name, errs)
	}
	err = retry(func() error {
		old, rec, err := c.loadRecord()
		if err != nil {
			return err
		}
		pod := old.(*corev1.Pod)
		switch {
		case binding.UID != "" && binding.UID != pod.UID:
			return c.checkPreconditions(&metav1.Preconditions{UID: &binding.UID}, pod)
		case pod.DeletionTimestamp != nil:
			return apierrors.NewConflict(c.groupResource(), c.name, fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", c.name))
		case pod.Spec.NodeName != "":
			return apierrors.NewConflict(c.groupResource(), c.name, fmt.Errorf("pod %s is already assigned to node %q", c.name, pod.Spec.NodeName))
		}
		if _, ok := c.Store.View().Get(resource.Nodes.Key("", binding.Target.Name)); !ok {
			return apierrors.NewNotFound(resource.Nodes.GVR().GroupResource(), binding.Target.Name)
		}
		pod.Spec.NodeName = binding.Target.Name
		resource.SetPodCondition(pod, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(c.now).Rfc3339Copy(),
		})
		return c.commit(pod, rec, len(opts.DryRun) > 0, "bound by "+c.user.name)
	})
	if err != nil {
		return err
	}
	c.write(c.w, c.r, http.StatusCreated, f, &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess, Code: http.StatusCreated,
	})
	return nil
}

func checkTarget(target *corev1.ObjectReference) field.ErrorList {
	path := field.NewPath("target")
	var errs field.ErrorList
	if target.Kind != "" && target.Kind != "Node" {
		errs = append(errs, field.NotSupported(path.Child("kind"), target.Kind, []string{"Node", "<empty>"}))
	}
	if target.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	return errs
}
