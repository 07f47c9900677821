package resource

import (
	"fmt"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The kinds of RBAC. Who may write them, and how much they may give away, says the API server.
var (
	// Roles is rbac.authorization.k8s.io/v1 Role.
	Roles = &Resource{
		Kind:       "roles.rbac.authorization.k8s.io",
		GVK:        rbacv1.SchemeGroupVersion.WithKind("Role"),
		Singular:   "role",
		Namespaced: true,
		New:        func() Object { return &rbacv1.Role{} },
		NewList:    func() runtime.Object { return &rbacv1.RoleList{} },

		PrepareCreate: creating(nothing[*rbacv1.Role]),
		PrepareUpdate: updating(nothingToKeep[*rbacv1.Role]),
		Validate: check(func(r, old *rbacv1.Role) field.ErrorList {
			return append(validateMeta(r, old, true, rbacName), validateRules(r.Rules, true)...)
		}),
		Columns: []metav1.TableColumnDefinition{nameColumn, createdColumn},
		Row: row(func(r *rbacv1.Role, _ time.Time) []any {
			return []any{r.Name, r.CreationTimestamp.UTC().Format(time.RFC3339)}
		}),
	}
	// ClusterRoles is rbac.authorization.k8s.io/v1 ClusterRole.
	ClusterRoles = &Resource{
		Kind:     "clusterroles.rbac.authorization.k8s.io",
		GVK:      rbacv1.SchemeGroupVersion.WithKind("ClusterRole"),
		Singular: "clusterrole",
		New:      func() Object { return &rbacv1.ClusterRole{} },
		NewList:  func() runtime.Object { return &rbacv1.ClusterRoleList{} },

		PrepareCreate: creating(nothing[*rbacv1.ClusterRole]),
		PrepareUpdate: updating(nothingToKeep[*rbacv1.ClusterRole]),
		Validate: check(func(r, old *rbacv1.ClusterRole) field.ErrorList {
			errs := append(validateMeta(r, old, false, rbacName), validateRules(r.Rules, false)...)
			return append(errs, validateAggregation(r.AggregationRule)...)
		}),
		Columns: []metav1.TableColumnDefinition{nameColumn, createdColumn},
		Row: row(func(r *rbacv1.ClusterRole, _ time.Time) []any {
			return []any{r.Name, r.CreationTimestamp.UTC().Format(time.RFC3339)}
		}),
	}
	// RoleBindings is rbac.authorization.k8s.io/v1 RoleBinding.
	RoleBindings = &Resource{
		Kind:       "rolebindings.rbac.authorization.k8s.io",
		GVK:        rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
		Singular:   "rolebinding",
		Namespaced: true,
		New:        func() Object { return &rbacv1.RoleBinding{} },
		NewList:    func() runtime.Object { return &rbacv1.RoleBindingList{} },

		Default:       one(func(b *rbacv1.RoleBinding) { defaultBinding(&b.RoleRef, b.Subjects) }),
		PrepareCreate: creating(nothing[*rbacv1.RoleBinding]),
		PrepareUpdate: updating(nothingToKeep[*rbacv1.RoleBinding]),
		Validate: check(func(b, old *rbacv1.RoleBinding) field.ErrorList {
			errs := append(validateMeta(b, old, true, rbacName), validateBinding(b.RoleRef, b.Subjects, true)...)
			if old != nil && old.RoleRef != b.RoleRef {
				errs = append(errs, field.Invalid(field.NewPath("roleRef"), b.RoleRef, "cannot change roleRef"))
			}
			return errs
		}),
		Columns: bindingColumns,
		Row: row(func(b *rbacv1.RoleBinding, now time.Time) []any {
			return bindingRow(b.ObjectMeta, b.RoleRef, b.Subjects, now)
		}),
	}
	// ClusterRoleBindings is rbac.authorization.k8s.io/v1 ClusterRoleBinding.
	ClusterRoleBindings = &Resource{
		Kind:     "clusterrolebindings.rbac.authorization.k8s.io",
		GVK:      rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"),
		Singular: "clusterrolebinding",
		New:      func() Object { return &rbacv1.ClusterRoleBinding{} },
		NewList:  func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },

		Default:       one(func(b *rbacv1.ClusterRoleBinding) { defaultBinding(&b.RoleRef, b.Subjects) }),
		PrepareCreate: creating(nothing[*rbacv1.ClusterRoleBinding]),
		PrepareUpdate: updating(nothingToKeep[*rbacv1.ClusterRoleBinding]),
		Validate: check(func(b, old *rbacv1.ClusterRoleBinding) field.ErrorList {
			errs := append(validateMeta(b, old, false, rbacName), validateBinding(b.RoleRef, b.Subjects, false)...)
			if old != nil && old.RoleRef != b.RoleRef {
				errs = append(errs, field.Invalid(field.NewPath("roleRef"), b.RoleRef, "cannot change roleRef"))
			}
			return errs
		}),
		Columns: bindingColumns,
		Row: row(func(b *rbacv1.ClusterRoleBinding, now time.Time) []any {
			return bindingRow(b.ObjectMeta, b.RoleRef, b.Subjects, now)
		}),
	}
)

// rbacName allows what Kubernetes does: any name that can be one part of a path.
func rbacName(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

// validateRules is Kubernetes' ValidatePolicyRule for each (pkg/apis/rbac/validation).
func validateRules(rules []rbacv1.PolicyRule, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	for i, r := range rules {
		path := field.NewPath("rules").Index(i)
		if len(r.Verbs) == 0 {
			errs = append(errs, field.Required(path.Child("verbs"), "verbs must contain at least one value"))
		}
		if len(r.NonResourceURLs) > 0 {
			if namespaced {
				errs = append(errs, field.Invalid(path.Child("nonResourceURLs"), r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
			}
			if len(r.APIGroups) > 0 || len(r.Resources) > 0 || len(r.ResourceNames) > 0 {
				errs = append(errs, field.Invalid(path.Child("nonResourceURLs"), r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
			}
			continue
		}
		if len(r.APIGroups) == 0 {
			errs = append(errs, field.Required(path.Child("apiGroups"), "resource rules must supply at least one api group"))
		}
		if len(r.Resources) == 0 {
			errs = append(errs, field.Required(path.Child("resources"), "resource rules must supply at least one resource"))
		}
	}
	return errs
}

func validateAggregation(rule *rbacv1.AggregationRule) field.ErrorList {
	if rule == nil {
		return nil
	}
	path := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(rule.ClusterRoleSelectors) == 0 {
		return field.ErrorList{field.Required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")}
	}
	var errs field.ErrorList
	for i := range rule.ClusterRoleSelectors {
		errs = append(errs, metavalidation.ValidateLabelSelector(&rule.ClusterRoleSelectors[i], metavalidation.LabelSelectorValidationOptions{}, path.Index(i))...)
	}
	return errs
}

// defaultBinding fills in API groups as Kubernetes does.
func defaultBinding(ref *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if ref.APIGroup == "" {
		ref.APIGroup = rbacv1.GroupName
	}
	for i := range subjects {
		if s := &subjects[i]; s.APIGroup == "" && (s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind) {
			s.APIGroup = rbacv1.GroupName
		}
	}
}

// validateBinding is Kubernetes' ValidateRoleBinding and ValidateRoleBindingSubject.
func validateBinding(ref rbacv1.RoleRef, subjects []rbacv1.Subject, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("roleRef")
	kinds := []string{"ClusterRole"}
	if namespaced {
		kinds = []string{"Role", "ClusterRole"}
	}
	if ref.APIGroup != rbacv1.GroupName {
		errs = append(errs, field.NotSupported(path.Child("apiGroup"), ref.APIGroup, []string{rbacv1.GroupName}))
	}
	if !slices.Contains(kinds, ref.Kind) {
		errs = append(errs, field.NotSupported(path.Child("kind"), ref.Kind, kinds))
	}
	if ref.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	} else {
		errs = append(errs, invalid(path.Child("name"), ref.Name, content.IsPathSegmentName(ref.Name))...)
	}
	for i, s := range subjects {
		errs = append(errs, validateSubject(s, namespaced, field.NewPath("subjects").Index(i))...)
	}
	return errs
}

func validateSubject(s rbacv1.Subject, namespaced bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		if s.Name != "" {
			errs = append(errs, invalid(path.Child("name"), s.Name, validation.ValidateServiceAccountName(s.Name, false))...)
		}
		if s.APIGroup != "" {
			errs = append(errs, field.NotSupported(path.Child("apiGroup"), s.APIGroup, []string{""}))
		}
		if !namespaced && s.Namespace == "" {
			errs = append(errs, field.Required(path.Child("namespace"), ""))
		}
	case rbacv1.UserKind, rbacv1.GroupKind:
		if s.APIGroup != rbacv1.GroupName {
			errs = append(errs, field.NotSupported(path.Child("apiGroup"), s.APIGroup, []string{rbacv1.GroupName}))
		}
	default:
		errs = append(errs, field.NotSupported(path.Child("kind"), s.Kind, []string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}))
	}
	return errs
}

var createdColumn = column("Created At", "date", "CreationTimestamp is when the object was made.")

var bindingColumns = []metav1.TableColumnDefinition{
	nameColumn, column("Role", "string", "Role that the binding gives."), ageColumn,
	wide(column("Users", "string", "Users in the subjects.")), wide(column("Groups", "string", "Groups in the subjects.")),
	wide(column("ServiceAccounts", "string", "ServiceAccounts in the subjects.")),
}

func bindingRow(meta metav1.ObjectMeta, ref rbacv1.RoleRef, subjects []rbacv1.Subject, now time.Time) []any {
	var users, groups, accounts []string
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.UserKind:
			users = append(users, s.Name)
		case rbacv1.GroupKind:
			groups = append(groups, s.Name)
		default:
			accounts = append(accounts, s.Namespace+"/"+s.Name)
		}
	}
	return []any{
		meta.Name, fmt.Sprintf("%s/%s", ref.Kind, ref.Name), age(meta.CreationTimestamp, now),
		strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", "),
	}
}
