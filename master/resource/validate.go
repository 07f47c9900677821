package resource

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PartitionPolicy is the annotation of a pod that says what happens when its node is cut off: with PolicyKeep it
// goes on there while it is replaced elsewhere. PolicyStop, at most one at any time, is refused for now.
const (
	PartitionPolicy = "skerry.dev/partition-policy"
	PolicyKeep      = "keep"
	PolicyStop      = "stop"
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
	case !ok, policy == PolicyKeep:
		return nil
	case policy == PolicyStop:
		return field.ErrorList{field.Forbidden(path, NotSupported+` yet: "stop" promises that the pod never runs twice, which nothing enforces so far`)}
	default:
		return field.ErrorList{field.NotSupported(path, policy, []string{PolicyKeep, PolicyStop})}
	}
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
