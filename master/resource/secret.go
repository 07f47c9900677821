package resource

import (
	"encoding/json"
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

// Secrets is v1 Secret. Nothing here ever quotes a value: errors name keys only.
var Secrets = &Resource{
	Kind:       "secrets",
	GVK:        corev1.SchemeGroupVersion.WithKind("Secret"),
	Singular:   "secret",
	Namespaced: true,
	New:        func() Object { return &corev1.Secret{} },
	NewList:    func() runtime.Object { return &corev1.SecretList{} },

	Default:       one(defaultSecret),
	PrepareCreate: creating(nothing[*corev1.Secret]),
	PrepareUpdate: updating(keepSecretType),
	Validate:      check(validateSecret),

	Columns: []metav1.TableColumnDefinition{
		nameColumn, column("Type", "string", corev1.Secret{}.SwaggerDoc()["type"]),
		column("Data", "string", corev1.Secret{}.SwaggerDoc()["data"]), ageColumn,
	},
	Row: row(func(s *corev1.Secret, now time.Time) []any {
		return []any{s.Name, string(s.Type), int64(len(s.Data)), age(s.CreationTimestamp, now)}
	}),

	Fields: map[string]func(Object) string{
		"type": func(o Object) string { return string(o.(*corev1.Secret).Type) },
	},
}

// defaultSecret fills in the type and takes stringData, which is for writing only, into data.
func defaultSecret(s *corev1.Secret) {
	if s.Type == "" {
		s.Type = corev1.SecretTypeOpaque
	}
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = map[string][]byte{}
	}
	for key, value := range s.StringData {
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
}

// keepSecretType lets an update leave out the type, as Kubernetes does.
func keepSecretType(updated, old *corev1.Secret) {
	if updated.Type == "" {
		updated.Type = old.Type
	}
}

// maxSecret is how many bytes the values of a Secret may have together, as in Kubernetes.
const maxSecret = corev1.MaxSecretSize

// secretKeys are the keys that a type of Secret must have; of basic-auth one is enough.
var secretKeys = map[corev1.SecretType][]string{
	corev1.SecretTypeDockercfg:        {corev1.DockerConfigKey},
	corev1.SecretTypeDockerConfigJson: {corev1.DockerConfigJsonKey},
	corev1.SecretTypeSSHAuth:          {corev1.SSHAuthPrivateKey},
	corev1.SecretTypeTLS:              {corev1.TLSCertKey, corev1.TLSPrivateKeyKey},
}

func validateSecret(s, old *corev1.Secret) field.ErrorList {
	errs := validateMeta(s, old, true, validation.NameIsDNSSubdomain)
	if old != nil {
		errs = append(errs, validation.ValidateImmutableField(s.Type, old.Type, field.NewPath("type"))...)
		errs = append(errs, validateFrozenSecret(s, old)...)
	}
	data := field.NewPath("data")
	size := 0
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		errs = append(errs, invalid(data.Key(key), key, utilvalidation.IsConfigMapKey(key))...)
		size += len(s.Data[key])
	}
	if size > maxSecret {
		errs = append(errs, field.TooLong(data, "", maxSecret))
	}
	for _, key := range secretKeys[s.Type] {
		if _, ok := s.Data[key]; !ok {
			errs = append(errs, field.Required(data.Key(key), ""))
		}
	}
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		errs = append(errs, field.Forbidden(field.NewPath("type"), NotSupported+": no token lies in a Secret; kubectl create token makes one"))
	case corev1.SecretTypeDockercfg, corev1.SecretTypeDockerConfigJson:
		for _, key := range secretKeys[s.Type] {
			if value, ok := s.Data[key]; ok && !json.Valid(value) {
				errs = append(errs, field.Invalid(data.Key(key), "<secret contents redacted>", "is not valid JSON"))
			}
		}
	case corev1.SecretTypeBasicAuth:
		_, user := s.Data[corev1.BasicAuthUsernameKey]
		_, password := s.Data[corev1.BasicAuthPasswordKey]
		if !user && !password {
			errs = append(errs, field.Required(data.Key(corev1.BasicAuthUsernameKey), ""),
				field.Required(data.Key(corev1.BasicAuthPasswordKey), ""))
		}
	}
	return errs
}

// validateFrozenSecret keeps a Secret as it is once it is immutable.
func validateFrozenSecret(s, old *corev1.Secret) field.ErrorList {
	const frozen = "field is immutable when `immutable` is set"
	if old.Immutable == nil || !*old.Immutable {
		return nil
	}
	var errs field.ErrorList
	if s.Immutable == nil || !*s.Immutable {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), frozen))
	}
	if !same(s.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), frozen))
	}
	return errs
}
