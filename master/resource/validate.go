package resource

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// The annotation that says what becomes of a pod when its node is cut off, and its values; see package pod.
const (
	PartitionPolicy = shared.PartitionPolicy
	PolicyKeep      = shared.PolicyKeep
	PolicyStop      = shared.PolicyStop
)

// withMeta is an object of a known type; its zero value, nil, stands for none.
type withMeta interface {
	comparable
	metav1.ObjectMetaAccessor
}

// validateMeta checks metadata with Kubernetes' own rules. old is nil for a create.
func validateMeta[T withMeta](updated, old T, namespaced bool, name validation.ValidateNameFunc) field.ErrorList {
	path := field.NewPath("metadata")
	meta := updated.GetObjectMeta().(*metav1.ObjectMeta)
	errs := validation.ValidateObjectMeta(meta, namespaced, name, path)
	var none T
	if old == none {
		return errs
	}
	// ValidateObjectMetaUpdate would say again what is wrong for a create as well.
	before := old.GetObjectMeta().(*metav1.ObjectMeta)
	errs = append(errs, validation.ValidateImmutableField(meta.Name, before.Name, path.Child("name"))...)
	errs = append(errs, validation.ValidateImmutableField(meta.Namespace, before.Namespace, path.Child("namespace"))...)
	errs = append(errs, validation.ValidateImmutableField(meta.UID, before.UID, path.Child("uid"))...)
	if before.DeletionTimestamp != nil {
		errs = append(errs, validation.ValidateNoNewFinalizers(meta.Finalizers, before.Finalizers, path.Child("finalizers"))...)
	}
	return errs
}

// validatePolicy checks the partition policy of a pod or of a template.
func validatePolicy(annotations map[string]string, metadata *field.Path) field.ErrorList {
	policy, ok := annotations[PartitionPolicy]
	path := metadata.Child("annotations").Key(PartitionPolicy)
	switch {
	case !ok, policy == PolicyKeep, policy == PolicyStop:
		return nil
	default:
		return field.ErrorList{field.NotSupported(path, policy, []string{PolicyKeep, PolicyStop})}
	}
}

// validatePolicyChange refuses another policy for a pod that exists: its containers were started under the one before.
func validatePolicyChange(annotations, before map[string]string, metadata *field.Path) field.ErrorList {
	if (annotations[PartitionPolicy] == PolicyStop) == (before[PartitionPolicy] == PolicyStop) {
		return nil
	}
	return field.ErrorList{field.Forbidden(metadata.Child("annotations").Key(PartitionPolicy),
		"can't be changed once the pod exists: delete the pod and create it anew")}
}

// validatePolicyPlace refuses the partition policy where it would do nothing.
func validatePolicyPlace(annotations map[string]string) field.ErrorList {
	if _, ok := annotations[PartitionPolicy]; !ok {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("metadata", "annotations").Key(PartitionPolicy),
		"it is an annotation of pods: set it at spec.template.metadata.annotations")}
}

// invalid is one error for each message about a value.
func invalid(path *field.Path, value any, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, message := range messages {
		errs = append(errs, field.Invalid(path, value, message))
	}
	return errs
}

// oneOf checks a value that must be set and be one of a few.
func oneOf[T ~string](path *field.Path, value T, supported ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	for _, s := range supported {
		if value == s {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, value, slices.Sorted(slices.Values(supported)))}
}

// notNegative checks an optional number.
func notNegative[T ~int32 | ~int64](path *field.Path, value *T) field.ErrorList {
	if value == nil {
		return nil
	}
	return validation.ValidateNonnegativeField(int64(*value), path)
}

// seen remembers what has been there, to find what is there twice.
type seen[T comparable] map[T]bool

func (s seen[T]) again(v T) bool {
	before := s[v]
	s[v] = true
	return before
}
