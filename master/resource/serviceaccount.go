package resource

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skerry-edge/skerry/master/change"
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
	return errs
}

// AccountWarning says what of an account has no effect; empty for nothing. Charts ask for tokens by default, so that it
// is no error.
func AccountWarning(o Object) string {
	if a, ok := o.(*corev1.ServiceAccount); ok && a.AutomountServiceAccountToken != nil && *a.AutomountServiceAccountToken {
		return "automountServiceAccountToken: true has no effect: skerry puts no tokens into pods"
	}
	return ""
}

// NoAccount says, in the words of Kubernetes, that the account which pods ask for does not exist; empty when it does.
// The default account may come a moment after its namespace.
func NoAccount(view change.View, namespace string, spec *corev1.PodSpec) string {
	name := spec.ServiceAccountName
	if name == "" || name == DefaultServiceAccount {
		return ""
	}
	if _, ok := view.Get(ServiceAccounts.Key(namespace, name)); ok {
		return ""
	}
	return fmt.Sprintf("error looking up service account %s/%s: serviceaccount %q not found", namespace, name, name)
}
