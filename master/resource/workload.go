package resource

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What ReplicaSets and Deployments have in common.

// replicas is the number of replicas asked for: 1 when nothing is said.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// selectorText is a selector in the form of a query parameter.
func selectorText(s *metav1.LabelSelector) string {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return "" // validation refuses such selectors
	}
	return selector.String()
}

// validateSelector checks a required selector. kind is how the message calls what has it.
func validateSelector(s *metav1.LabelSelector, kind string, path *field.Path) field.ErrorList {
	if s == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	errs := metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path)
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		errs = append(errs, field.Invalid(path, s, "empty selector is invalid for "+kind))
	}
	return errs
}

// validateTemplate checks the template of pods that run for ever and are found by a selector.
func validateTemplate(t *corev1.PodTemplateSpec, s *metav1.LabelSelector, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	metadata := path.Child("metadata")
	errs = append(errs, metavalidation.ValidateLabels(t.Labels, metadata.Child("labels"))...)
	errs = append(errs, validation.ValidateAnnotations(t.Annotations, metadata.Child("annotations"))...)
	errs = append(errs, validation.ValidateFinalizers(t.Finalizers, metadata.Child("finalizers"))...)
	errs = append(errs, validatePolicy(t.Annotations, metadata)...)
	if selector, err := metav1.LabelSelectorAsSelector(s); err == nil && !selector.Empty() && !selector.Matches(labels.Set(t.Labels)) {
		errs = append(errs, field.Invalid(metadata.Child("labels"), t.Labels, "`selector` does not match template `labels`"))
	}
	if p := t.Spec.RestartPolicy; p == corev1.RestartPolicyOnFailure || p == corev1.RestartPolicyNever {
		errs = append(errs, field.NotSupported(path.Child("spec", "restartPolicy"), p, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	return append(errs, validatePodSpec(&t.Spec, path.Child("spec"))...)
}

// podsOf is the metadata and the spec of the pods that an object is or makes; nil for other objects.
func podsOf(o Object) (*metav1.ObjectMeta, *corev1.PodSpec) {
	switch o := o.(type) {
	case *corev1.Pod:
		return &o.ObjectMeta, &o.Spec
	case *appsv1.ReplicaSet:
		return &o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec
	case *appsv1.Deployment:
		return &o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec
	default:
		return nil, nil
	}
}

// HasPods reports whether an object is a pod or makes pods.
func HasPods(o Object) bool {
	_, spec := podsOf(o)
	return spec != nil
}
