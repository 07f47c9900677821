package authz

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// Groups that may do everything.
const (
	GroupMasters = "system:masters"
	GroupAdmins  = "skerry:admins"
)

// Groups that everybody, or every service account, is in.
const (
	GroupAuthenticated   = "system:authenticated"
	GroupServiceAccounts = "system:serviceaccounts"
)

// ServiceAccountUser is the user name of a service account.
func ServiceAccountUser(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// User is who asks.
type User struct {
	Name   string
	Groups []string
}

// superuser reports whether the user may do everything, whatever the objects say.
func (u User) superuser() bool {
	return slices.Contains(u.Groups, GroupMasters) || slices.Contains(u.Groups, GroupAdmins)
}

// Attributes are what somebody wants to do: to a resource, or, when Path is set, to a path that names none.
type Attributes struct {
	Verb        string
	Group       string
	Resource    string // the plural
	Subresource string
	Namespace   string // empty: cluster-wide, or all namespaces
	Name        string // empty: the collection
	Path        string
}

// Policy is what the objects of RBAC say. It is immutable.
type Policy struct {
	cluster    map[string][]grant            // by subject
	namespaces map[string]map[string][]grant // by namespace, then by subject
	clusterOf  map[string][]rbacv1.PolicyRule
	rolesOf    map[string][]rbacv1.PolicyRule // by namespace/name
}

// grant is what one binding gives to one subject.
type grant struct {
	rules   []rbacv1.PolicyRule
	binding string // for people
}

// New makes the policy of a view. What does not decode grants nothing; problems names it.
func New(view change.View) (p *Policy, problems []error) {
	p = &Policy{
		cluster: map[string][]grant{}, namespaces: map[string]map[string][]grant{},
		clusterOf: map[string][]rbacv1.PolicyRule{}, rolesOf: map[string][]rbacv1.PolicyRule{},
	}
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	for rec := range view.List(resource.ClusterRoles.Kind, "") {
		role, err := resource.As[*rbacv1.ClusterRole](resource.ClusterRoles, rec)
		if note(err); err == nil {
			p.clusterOf[role.Name] = role.Rules
		}
	}
	for rec := range view.List(resource.Roles.Kind, "") {
		role, err := resource.As[*rbacv1.Role](resource.Roles, rec)
		if note(err); err == nil {
			p.rolesOf[role.Namespace+"/"+role.Name] = role.Rules
		}
	}
	for rec := range view.List(resource.ClusterRoleBindings.Kind, "") {
		b, err := resource.As[*rbacv1.ClusterRoleBinding](resource.ClusterRoleBindings, rec)
		if note(err); err == nil {
			p.grant(p.cluster, fmt.Sprintf("ClusterRoleBinding %q", b.Name), b.RoleRef, "", b.Subjects)
		}
	}
	for rec := range view.List(resource.RoleBindings.Kind, "") {
		b, err := resource.As[*rbacv1.RoleBinding](resource.RoleBindings, rec)
		if note(err); err == nil {
			if p.namespaces[b.Namespace] == nil {
				p.namespaces[b.Namespace] = map[string][]grant{}
			}
			p.grant(p.namespaces[b.Namespace], fmt.Sprintf("RoleBinding %q", b.Name+"/"+b.Namespace), b.RoleRef, b.Namespace, b.Subjects)
		}
	}
	return p, problems
}

func (p *Policy) grant(into map[string][]grant, binding string, ref rbacv1.RoleRef, namespace string, subjects []rbacv1.Subject) {
	rules := p.Rules(ref, namespace)
	if len(rules) == 0 {
		return
	}
	for _, s := range subjects {
		key := subjectKey(s, namespace)
		if key == "" {
			continue
		}
		into[key] = append(into[key], grant{rules, fmt.Sprintf("RBAC: allowed by %s of %s %q to %s", binding, ref.Kind, ref.Name, describe(s))})
	}
}

// Rules are those of a role that a binding in this namespace refers to; none when there is no such role.
func (p *Policy) Rules(ref rbacv1.RoleRef, namespace string) []rbacv1.PolicyRule {
	switch {
	case ref.Kind == "ClusterRole":
		return p.clusterOf[ref.Name]
	case ref.Kind == "Role" && namespace != "":
		return p.rolesOf[namespace+"/"+ref.Name]
	}
	return nil
}

// subjectKey is under which name a subject's grants are found; empty for one that can't be anybody.
func subjectKey(s rbacv1.Subject, namespace string) string {
	switch s.Kind {
	case rbacv1.UserKind:
		return userKey(s.Name)
	case rbacv1.GroupKind:
		return groupKey(s.Name)
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		if namespace == "" {
			return ""
		}
		return userKey(ServiceAccountUser(namespace, s.Name))
	}
	return ""
}

func userKey(name string) string  { return "u:" + name }
func groupKey(name string) string { return "g:" + name }

func describe(s rbacv1.Subject) string {
	if s.Kind == rbacv1.ServiceAccountKind {
		return fmt.Sprintf("ServiceAccount %q", s.Name+"/"+s.Namespace)
	}
	return fmt.Sprintf("%s %q", s.Kind, s.Name)
}

// each calls visit with every grant to the user that holds in the namespace, until it returns false. An empty
// namespace means those that hold everywhere.
func (p *Policy) each(u User, namespace string, visit func(grant) bool) {
	for _, grants := range []map[string][]grant{p.cluster, p.namespaces[namespace]} {
		for _, g := range grants[userKey(u.Name)] {
			if !visit(g) {
				return
			}
		}
		for _, group := range u.Groups {
			for _, g := range grants[groupKey(group)] {
				if !visit(g) {
					return
				}
			}
		}
		if namespace == "" {
			return
		}
	}
}

// Authorize reports whether a user may do something, and what allows it.
func (p *Policy) Authorize(u User, a Attributes) (allowed bool, reason string) {
	if u.superuser() {
		return true, ""
	}
	p.each(u, a.Namespace, func(g grant) bool {
		for i := range g.rules {
			if allows(&g.rules[i], a) {
				allowed, reason = true, g.binding
				return false
			}
		}
		return true
	})
	return allowed, reason
}

// allows is Kubernetes' RuleAllows (plugin/pkg/auth/authorizer/rbac).
func allows(rule *rbacv1.PolicyRule, a Attributes) bool {
	if !has(rule.Verbs, a.Verb) {
		return false
	}
	if a.Path != "" {
		return allowsPath(rule.NonResourceURLs, a.Path)
	}
	return has(rule.APIGroups, a.Group) && allowsResource(rule.Resources, a) &&
		(len(rule.ResourceNames) == 0 || a.Name != "" && slices.Contains(rule.ResourceNames, a.Name))
}

// has reports whether a list names something, or everything.
func has(list []string, name string) bool {
	for _, l := range list {
		if l == "*" || l == name {
			return true
		}
	}
	return false
}

func allowsResource(resources []string, a Attributes) bool {
	for _, r := range resources {
		if r == "*" {
			return true
		}
		name, sub, _ := strings.Cut(r, "/")
		if sub == a.Subresource && (name == a.Resource || name == "*" && sub != "") {
			return true
		}
	}
	return false
}

func allowsPath(paths []string, path string) bool {
	for _, p := range paths {
		if prefix, wild := strings.CutSuffix(p, "*"); p == path || wild && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// RulesFor are all rules that hold for a user in a namespace; for superusers the rule that allows everything.
func (p *Policy) RulesFor(u User, namespace string) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	if u.superuser() {
		all := []string{"*"}
		rules = append(rules, rbacv1.PolicyRule{Verbs: all, APIGroups: all, Resources: all}, rbacv1.PolicyRule{Verbs: all, NonResourceURLs: all})
	}
	p.each(u, namespace, func(g grant) bool {
		rules = append(rules, g.rules...)
		return true
	})
	return rules
}

// Covers reports whether the user holds all these rights in the namespace, and which are missing.
func (p *Policy) Covers(u User, namespace string, rules []rbacv1.PolicyRule) (bool, []rbacv1.PolicyRule) {
	if u.superuser() {
		return true, nil
	}
	return validation.Covers(p.RulesFor(u, namespace), rules)
}
