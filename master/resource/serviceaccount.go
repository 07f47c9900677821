package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DefaultServiceAccount is the one that every namespace has.
const DefaultServiceAccount = "default"

// ServiceAccounts is v1 ServiceAccount. Nothing of one is put into pods: tokens are made by kubectl create token.
var ServiceAccounts = &Resource{
	Kind:       "serviceaccounts",
	GVK:        corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
	Singular:   "serviceaccount",
	ShortNames: []string{"sa"},
	Namespaced: true,
	New:        func() Object { return &corev1.ServiceAccount{} },
	NewList:    func() runtime.Object { return &corev1.ServiceAccountList{} },

	PrepareCreate: creating(nothing[*corev1.ServiceAccount]),
	PrepareUpdate: updating(nothingToKeep[*corev1.ServiceAccount]),
	Validate:      check(validateServiceAccount),

	Columns: []metav1.TableColumnDefinition{
		nameColumn, column("Secrets", "string", corev1.ServiceAccount{}.SwaggerDoc()["secrets"]), ageColumn,
	},
	Row: row(func(a *corev1.ServiceAccount, now time.Time) []any {
		return []any{a.Name, int64(len(a.Secrets)), age(a.CreationTimestamp, now)}
	}),
}

func validateServiceAccount(a, old *corev1.ServiceAccount) field.ErrorList {
	errs := validateMeta(a, old, true, validation.ValidateServiceAccountName)
	if len(a.Secrets) > 0 {
		errs = append(errs, field.Forbidden(field.NewPath("secrets"), NotSupported+": no Secret is bound to an account; name it where a pod uses it"))
	}
	if len(a.ImagePullSecrets) > 0 {
		errs = append(errs, field.Forbidden(field.NewPath("imagePullSecrets"), NotSupported))
	}
	if a.AutomountServiceAccountToken != nil && *a.AutomountServiceAccountToken {
		errs = append(errs, field.Forbidden(field.NewPath("automountServiceAccountToken"), NotSupported+": no token is put into pods"))
	}
	return errs
}
