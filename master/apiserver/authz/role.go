package authz

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Everything are the rules that allow everything.
func Everything() []rbacv1.PolicyRule {
	all := []string{rbacv1.VerbAll}
	return []rbacv1.PolicyRule{
		{Verbs: all, APIGroups: []string{rbacv1.APIGroupAll}, Resources: []string{rbacv1.ResourceAll}},
		{Verbs: all, NonResourceURLs: []string{rbacv1.NonResourceAll}},
	}
}

// role is a role's rules, found by what they are about.
type role struct {
	rules      []rbacv1.PolicyRule
	byResource map[string][]*rbacv1.PolicyRule // as rules name resources: pods, pods/log, */scale, *
	paths      []*rbacv1.PolicyRule
}

func newRole(rules []rbacv1.PolicyRule) *role {
	r := &role{rules: rules, byResource: map[string][]*rbacv1.PolicyRule{}}
	for i := range rules {
		rule := &rules[i]
		if len(rule.NonResourceURLs) > 0 {
			r.paths = append(r.paths, rule)
		}
		for _, name := range rule.Resources {
			if at := r.byResource[name]; len(at) == 0 || at[len(at)-1] != rule { // a name said twice is one
				r.byResource[name] = append(at, rule)
			}
		}
	}
	return r
}

// names are what rules may call what somebody wants to do it to; computed once for all roles.
func (a Attributes) names() []string {
	if a.Subresource == "" {
		return []string{a.Resource, rbacv1.ResourceAll}
	}
	return []string{a.Resource + "/" + a.Subresource, rbacv1.ResourceAll, "*/" + a.Subresource}
}

// allows is Kubernetes' RulesAllow (plugin/pkg/auth/authorizer/rbac). names are the attributes' own.
func (r *role) allows(a *Attributes, names []string) bool {
	if a.Path != "" {
		return slices.ContainsFunc(r.paths, func(rule *rbacv1.PolicyRule) bool {
			return has(rule.Verbs, a.Verb) && allowsPath(rule.NonResourceURLs, a.Path)
		})
	}
	for _, name := range names {
		if r.allowsAs(name, a) {
			return true
		}
	}
	return false
}

// allowsAs looks at the rules that call the resource by this name. A rule with names of objects never allows what has
// none: to create, to delete a collection, to list without choosing one object by its name.
func (r *role) allowsAs(name string, a *Attributes) bool {
	for _, rule := range r.byResource[name] {
		if has(rule.Verbs, a.Verb) && has(rule.APIGroups, a.Group) &&
			(len(rule.ResourceNames) == 0 || a.Name != "" && slices.Contains(rule.ResourceNames, a.Name)) {
			return true
		}
	}
	return false
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

func allowsPath(paths []string, path string) bool {
	for _, p := range paths {
		if prefix, wild := strings.CutSuffix(p, "*"); p == path || wild && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
