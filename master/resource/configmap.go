package resource

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ConfigMaps is v1 ConfigMap.
var ConfigMaps = &Resource{
	Kind:       "configmaps",
	GVK:        corev1.SchemeGroupVersion.WithKind("ConfigMap"),
	Singular:   "configmap",
	ShortNames: []string{"cm"},
	Namespaced: true,
	New:        func() Object { return &corev1.ConfigMap{} },
	NewList:    func() runtime.Object { return &corev1.ConfigMapList{} },

	PrepareCreate: creating(nothing[*corev1.ConfigMap]),
	PrepareUpdate: updating(nothingToKeep[*corev1.ConfigMap]),
	Validate:      check(validateConfigMap),

	Columns: []metav1.TableColumnDefinition{
		nameColumn, column("Data", "string", corev1.ConfigMap{}.SwaggerDoc()["data"]), ageColumn,
	},
	Row: row(func(c *corev1.ConfigMap, now time.Time) []any {
		return []any{c.Name, int64(len(c.Data) + len(c.BinaryData)), age(c.CreationTimestamp, now)}
	}),
}

// maxConfigMap is how many bytes the values of a ConfigMap may have together, as in Kubernetes.
const maxConfigMap = 1 << 20

func validateConfigMap(c, old *corev1.ConfigMap) field.ErrorList {
	errs := validateMeta(c, old, true, validation.NameIsDNSSubdomain)
	if old != nil {
		errs = append(errs, validateFrozen(c, old)...)
	}
	data, binary := field.NewPath("data"), field.NewPath("binaryData")
	size := 0
	for _, key := range slices.Sorted(maps.Keys(c.Data)) {
		errs = append(errs, invalid(data.Key(key), key, utilvalidation.IsConfigMapKey(key))...)
		if _, twice := c.BinaryData[key]; twice {
			errs = append(errs, field.Invalid(data.Key(key), key, "duplicate of key present in binaryData"))
		}
		size += len(c.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(c.BinaryData)) {
		errs = append(errs, invalid(binary.Key(key), key, utilvalidation.IsConfigMapKey(key))...)
		size += len(c.BinaryData[key])
	}
	if size > maxConfigMap {
		errs = append(errs, field.TooLong(data, "", maxConfigMap))
	}
	return errs
}

// validateFrozen keeps a ConfigMap as it is once it is immutable.
func validateFrozen(c, old *corev1.ConfigMap) field.ErrorList {
	const frozen = "field is immutable when `immutable` is set"
	if old.Immutable == nil || !*old.Immutable {
		return nil
	}
	var errs field.ErrorList
	if c.Immutable == nil || !*c.Immutable {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), frozen))
	}
	if !same(c.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), frozen))
	}
	if !same(c.BinaryData, old.BinaryData) {
		errs = append(errs, field.Forbidden(field.NewPath("binaryData"), frozen))
	}
	return errs
}
