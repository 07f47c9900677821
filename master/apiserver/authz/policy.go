package authz

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

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
	GroupServiceAccounts = "system:serviceaccounts" // those of one namespace are in this one, a colon and the namespace, too
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
	roles      map[roleKey]*role
	cluster    grants
	namespaces map[string]grants
}

// roleKey names a role; the namespace of a ClusterRole is empty.
type roleKey struct{ namespace, name string }

// grants are what bindings of one scope give, by subject.
type grants map[string][]*grant

// grant is what one binding gives.
type grant struct {
	role    *role // nil: there is none of that name
	binding string
	ref     rbacv1.RoleRef
	subject string
}

// New makes the policy of a view. What does not decode grants nothing; problems names it.
func New(view change.View) (p *Policy, problems []error) {
	p = &Policy{roles: map[roleKey]*role{}, cluster: grants{}, namespaces: map[string]grants{}}
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	for rec := range view.List(resource.ClusterRoles.Kind, "") {
		r, err := resource.As[*rbacv1.ClusterRole](resource.ClusterRoles, rec)
		if note(err); err == nil {
			p.roles[roleKey{name: r.Name}] = newRole(r.Rules)
		}
	}
	for rec := range view.List(resource.Roles.Kind, "") {
		r, err := resource.As[*rbacv1.Role](resource.Roles, rec)
		if note(err); err == nil {
			p.roles[roleKey{r.Namespace, r.Name}] = newRole(r.Rules)
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
				p.namespaces[b.Namespace] = grants{}
			}
			p.grant(p.namespaces[b.Namespace], fmt.Sprintf("RoleBinding %q", b.Name+"/"+b.Namespace), b.RoleRef, b.Namespace, b.Subjects)
		}
	}
	return p, problems
}

func (p *Policy) grant(into grants, binding string, ref rbacv1.RoleRef, namespace string, subjects []rbacv1.Subject) {
	for _, s := range subjects {
		key, called := subjectKey(s, namespace)
		if key == "" {
			continue
		}
		into[key] = append(into[key], &grant{role: p.find(ref, namespace), binding: binding, ref: ref, subject: called})
	}
}

// find is the role that a binding in this namespace refers to, or nil.
func (p *Policy) find(ref rbacv1.RoleRef, namespace string) *role {
	switch {
	case ref.Kind == "ClusterRole":
		return p.roles[roleKey{name: ref.Name}]
	case ref.Kind == "Role" && namespace != "":
		return p.roles[roleKey{namespace, ref.Name}]
	}
	return nil
}

// Rules are those of the role that a binding in this namespace refers to; ok is false when there is no such role.
func (p *Policy) Rules(ref rbacv1.RoleRef, namespace string) (rules []rbacv1.PolicyRule, ok bool) {
	r := p.find(ref, namespace)
	if r == nil {
		return nil, false
	}
	return r.rules, true
}

// subjectKey is under which name a subject's grants are found, and what people call it; empty for one that can't be
// anybody.
func subjectKey(s rbacv1.Subject, namespace string) (key, called string) {
	switch s.Kind {
	case rbacv1.UserKind:
		return userKey(s.Name), fmt.Sprintf("User %q", s.Name)
	case rbacv1.GroupKind:
		return groupKey(s.Name), fmt.Sprintf("Group %q", s.Name)
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		if namespace == "" {
			return "", ""
		}
		return userKey(ServiceAccountUser(namespace, s.Name)), fmt.Sprintf("ServiceAccount %q", s.Name+"/"+namespace)
	}
	return "", ""
}

func userKey(name string) string  { return "u:" + name }
func groupKey(name string) string { return "g:" + name }

// each calls visit with every grant to the user that holds in the namespace, until it returns false. An empty
// namespace means those that hold everywhere.
func (p *Policy) each(u User, namespace string, visit func(*grant) bool) {
	scopes := []grants{p.cluster, p.namespaces[namespace]}
	if namespace == "" {
		scopes = scopes[:1]
	}
	for _, scope := range scopes {
		if len(scope) == 0 {
			continue
		}
		for _, g := range scope[userKey(u.Name)] {
			if !visit(g) {
				return
			}
		}
		for _, group := range u.Groups {
			for _, g := range scope[groupKey(group)] {
				if !visit(g) {
					return
				}
			}
		}
	}
}

// Authorize reports whether a user may do something. The reason names the binding that allows it, or, of what is
// refused, the roles that bindings name and that do not exist; it may be empty.
func (p *Policy) Authorize(u User, a Attributes) (allowed bool, reason string) {
	if u.superuser() {
		return true, ""
	}
	var missing []string
	names := a.names()
	p.each(u, a.Namespace, func(g *grant) bool {
		if g.role == nil {
			missing = append(missing, fmt.Sprintf("%ss.%s %q not found", strings.ToLower(g.ref.Kind), rbacv1.GroupName, g.ref.Name))
			return true
		}
		allowed = g.role.allows(&a, names)
		if allowed {
			reason = fmt.Sprintf("RBAC: allowed by %s of %s %q to %s", g.binding, g.ref.Kind, g.ref.Name, g.subject)
		}
		return !allowed
	})
	if !allowed && len(missing) > 0 {
		slices.Sort(missing)
		reason = "RBAC: " + strings.Join(slices.Compact(missing), ", ")
	}
	return allowed, reason
}

// RulesFor are all rules that hold for a user in a namespace; for superusers the rules that allow everything.
func (p *Policy) RulesFor(u User, namespace string) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	if u.superuser() {
		rules = append(rules, Everything()...)
	}
	p.each(u, namespace, func(g *grant) bool {
		if g.role != nil {
			rules = append(rules, g.role.rules...)
		}
		return true
	})
	return rules
}
