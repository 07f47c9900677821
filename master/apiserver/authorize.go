package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/apiserver/authz"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

// policies keeps the policy of the store's newest state: it is made anew at the first question after an object of RBAC
// was written.
type policies struct {
	store store.Store
	log   zerolog.Logger

	written atomic.Int64 // counts writes to objects of RBAC, from 1 on
	read    atomic.Int64 // how many of them the policy has seen
	policy  atomic.Pointer[authz.Policy]

	mu      sync.Mutex
	cursors []store.Cursor
}

var rbacKinds = []change.Kind{
	resource.Roles.Kind, resource.ClusterRoles.Kind, resource.RoleBindings.Kind, resource.ClusterRoleBindings.Kind,
}

func newPolicies(s store.Store, log zerolog.Logger) *policies {
	p := &policies{store: s, log: log}
	p.written.Store(1)
	return p
}

// now is the policy in force.
func (p *policies) now() (*authz.Policy, error) {
	if p.written.Load() == p.read.Load() {
		return p.policy.Load(), nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	written := p.written.Load()
	if written == p.read.Load() {
		return p.policy.Load(), nil
	}
	if err := p.follow(); err != nil {
		return nil, err
	}
	policy, problems := authz.New(p.store.View())
	for _, err := range problems {
		p.log.Error().Err(err).Msg("object of RBAC not understood; it grants nothing")
	}
	p.policy.Store(policy)
	p.read.Store(written)
	return policy, nil
}

// follow reads what was written, so that the cursors tell of the next write.
func (p *policies) follow() error {
	for _, c := range p.cursors {
		for {
			_, ok, err := c.Next()
			if errors.Is(err, store.ErrCompacted) {
				p.close()
				break
			}
			if err != nil {
				return fmt.Errorf("follow the objects of RBAC: %w", err)
			}
			if !ok {
				break
			}
		}
	}
	if p.cursors != nil {
		return nil
	}
	rev := p.store.View().Rev()
	for _, kind := range rbacKinds {
		c, err := p.store.Watch(kind, rev, func() { p.written.Add(1) })
		if err != nil {
			p.close()
			return fmt.Errorf("follow %s: %w", kind, err)
		}
		p.cursors = append(p.cursors, c)
	}
	return nil
}

func (p *policies) close() {
	for _, c := range p.cursors {
		c.Close()
	}
	p.cursors = nil
}

// who is the user as the policy knows them.
func (u user) who() authz.User { return authz.User{Name: u.name, Groups: u.groups} }

// connecting are the subresources that connect to a container. Websockets begin with GET, which must not be enough:
// whoever may read pods may not enter them.
var connecting = []string{"exec", "attach", "portforward"}

// attributes are what the call wants to do.
func (c *call) attributes() authz.Attributes {
	gr := c.groupResource()
	a := authz.Attributes{
		Verb: c.verb, Group: gr.Group, Resource: gr.Resource, Subresource: c.subresource, Namespace: c.namespace, Name: c.name,
	}
	if slices.Contains(connecting, c.subresource) {
		a.Verb = verbCreate
	}
	if a.Name == "" {
		// As in Kubernetes: who selects one object by its name needs the right to that one alone.
		if selector, err := fields.ParseSelector(c.query.Get("fieldSelector")); err == nil {
			a.Name, _ = selector.RequiresExactMatch("metadata.name")
		}
	}
	if c.res == resource.Namespaces && c.name != "" {
		a.Namespace = c.name // rights in a namespace include those to itself
	}
	return a
}

// authorize says no, in Kubernetes' words, unless the user may do this.
func (c *call) authorize() error {
	if slices.Contains(resource.SelfReviews, c.res) && c.verb == verbCreate {
		return nil // everybody may ask about themselves
	}
	a := c.attributes()
	allowed, err := c.allows(c.user, a)
	if err != nil || allowed {
		return err
	}
	return forbidden(c.user, a, c.name)
}

// allows reports whether the user may do this.
func (s *Server) allows(u user, a authz.Attributes) (bool, error) {
	policy, err := s.policies.now()
	if err != nil {
		return false, err
	}
	allowed, _ := policy.Authorize(u.who(), a)
	return allowed, nil
}

// authorizeSpecial is authorize for what is no resource of the store.
func (s *Server) authorizeSpecial(u user, verb string, gr schema.GroupResource, name string) error {
	a := authz.Attributes{Verb: verb, Group: gr.Group, Resource: gr.Resource, Name: name}
	allowed, err := s.allows(u, a)
	if err != nil || allowed {
		return err
	}
	return forbidden(u, a, name)
}

// authorizePath is authorize for a path that names no resource.
func (s *Server) authorizePath(u user, method, path string) error {
	allowed, err := s.allows(u, authz.Attributes{Verb: strings.ToLower(method), Path: path})
	if err != nil || allowed {
		return err
	}
	//lint:ignore ST1005 Kubernetes' own words
	return apierrors.NewForbidden(schema.GroupResource{}, "", fmt.Errorf("User %q cannot %s path %q", u.name, strings.ToLower(method), path))
}

func forbidden(u user, a authz.Attributes, name string) error {
	what := a.Resource
	if a.Subresource != "" {
		what += "/" + a.Subresource
	}
	where := "at the cluster scope"
	if a.Namespace != "" {
		where = fmt.Sprintf("in the namespace %q", a.Namespace)
	}
	gr := schema.GroupResource{Group: a.Group, Resource: a.Resource}
	return apierrors.NewForbidden(gr, name,
		//lint:ignore ST1005 Kubernetes' own words
		fmt.Errorf("User %q cannot %s resource %q in API group %q %s", u.name, a.Verb, what, a.Group, where))
}

// refuseImpersonation: nobody acts as somebody else here, and a request that asks for it must not be answered as if it
// had not.
func refuseImpersonation(u user, header http.Header) error {
	for name := range header {
		if strings.HasPrefix(name, "Impersonate-") {
			//lint:ignore ST1005 Kubernetes' own words
			return apierrors.NewForbidden(schema.GroupResource{}, "", fmt.Errorf("User %q cannot act as somebody else: impersonation is not supported by skerry", u.name))
		}
	}
	return nil
}

// mayGrant keeps a user from giving away, or from preparing to give away, rights that they don't hold.
func (c *call) mayGrant(o resource.Object, old change.Record) error {
	policy, err := c.policies.now()
	if err != nil {
		return err
	}
	var rules []rbacv1.PolicyRule
	var verb, kind, name string // of the right that makes up for what is not held
	switch o := o.(type) {
	case *rbacv1.Role:
		before, err := resource.As[*rbacv1.Role](resource.Roles, old)
		if err == nil && old.Exists() && equality.Semantic.DeepEqual(before.Rules, o.Rules) {
			return nil
		}
		rules, verb, kind, name = o.Rules, "escalate", "roles", o.Name
	case *rbacv1.ClusterRole:
		before, err := resource.As[*rbacv1.ClusterRole](resource.ClusterRoles, old)
		if err == nil && old.Exists() && equality.Semantic.DeepEqual(before.Rules, o.Rules) && equality.Semantic.DeepEqual(before.AggregationRule, o.AggregationRule) {
			return nil
		}
		rules, verb, kind, name = o.Rules, "escalate", "clusterroles", o.Name
		if o.AggregationRule != nil {
			all := []string{"*"} // what it gathers may be anything
			rules = append(slices.Clone(rules), rbacv1.PolicyRule{Verbs: all, APIGroups: all, Resources: all}, rbacv1.PolicyRule{Verbs: all, NonResourceURLs: all})
		}
	case *rbacv1.RoleBinding:
		before, err := resource.As[*rbacv1.RoleBinding](resource.RoleBindings, old)
		if err == nil && old.Exists() && equality.Semantic.DeepEqual(before.Subjects, o.Subjects) {
			return nil
		}
		rules, verb, kind, name = policy.Rules(o.RoleRef, o.Namespace), "bind", plural(o.RoleRef), o.RoleRef.Name
	case *rbacv1.ClusterRoleBinding:
		before, err := resource.As[*rbacv1.ClusterRoleBinding](resource.ClusterRoleBindings, old)
		if err == nil && old.Exists() && equality.Semantic.DeepEqual(before.Subjects, o.Subjects) {
			return nil
		}
		rules, verb, kind, name = policy.Rules(o.RoleRef, ""), "bind", plural(o.RoleRef), o.RoleRef.Name
	default:
		return nil
	}
	who := c.user.who()
	if allowed, _ := policy.Authorize(who, authz.Attributes{
		Verb: verb, Group: rbacv1.GroupName, Resource: kind, Namespace: c.namespace, Name: name,
	}); allowed {
		return nil
	}
	if verb == "bind" && len(rules) == 0 {
		// Nothing can be said about a role that may come later.
		return apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: kind}, name)
	}
	covered, missing := policy.Covers(who, c.namespace, rules)
	if covered {
		return nil
	}
	return apierrors.NewForbidden(c.groupResource(), o.GetName(),
		fmt.Errorf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s", c.user.name, c.user.groups, listRules(missing)))
}

func plural(ref rbacv1.RoleRef) string { return strings.ToLower(ref.Kind) + "s" }

// listRules shows rules a line each, at most ten.
func listRules(rules []rbacv1.PolicyRule) string {
	var lines []string
	for i, r := range rules {
		if i == 10 {
			lines = append(lines, fmt.Sprintf("and %d more", len(rules)-i))
			break
		}
		var parts []string
		for _, part := range []struct {
			name string
			list []string
		}{{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"ResourceNames", r.ResourceNames}, {"NonResourceURLs", r.NonResourceURLs}, {"Verbs", r.Verbs}} {
			if len(part.list) > 0 {
				parts = append(parts, fmt.Sprintf("%s:%q", part.name, part.list))
			}
		}
		lines = append(lines, "{"+strings.Join(parts, ", ")+"}")
	}
	return strings.Join(lines, "\n")
}

// access is whether a user may do what a review names.
func (s *Server) access(u user, resourceAt *authorizationv1.ResourceAttributes, pathAt *authorizationv1.NonResourceAttributes) (authorizationv1.SubjectAccessReviewStatus, error) {
	var a authz.Attributes
	if resourceAt != nil {
		a = authz.Attributes{
			Verb: resourceAt.Verb, Group: resourceAt.Group, Resource: resourceAt.Resource, Subresource: resourceAt.Subresource,
			Namespace: resourceAt.Namespace, Name: resourceAt.Name,
		}
		gr := schema.GroupResource{Group: a.Group, Resource: a.Resource}
		if a.Verb == verbCreate && slices.ContainsFunc(resource.SelfReviews, func(r *resource.Resource) bool { return r.GVR().GroupResource() == gr }) {
			return authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "everybody may ask about themselves"}, nil
		}
	} else {
		a = authz.Attributes{Verb: pathAt.Verb, Path: pathAt.Path}
	}
	policy, err := s.policies.now()
	if err != nil {
		return authorizationv1.SubjectAccessReviewStatus{}, err
	}
	allowed, reason := policy.Authorize(u.who(), a)
	return authorizationv1.SubjectAccessReviewStatus{Allowed: allowed, Reason: reason}, nil
}

// rules are all that the user may do in a namespace.
func (s *Server) rules(u user, namespace string) (authorizationv1.SubjectRulesReviewStatus, error) {
	var status authorizationv1.SubjectRulesReviewStatus
	policy, err := s.policies.now()
	if err != nil {
		return status, err
	}
	for _, r := range policy.RulesFor(u.who(), namespace) {
		if len(r.NonResourceURLs) > 0 {
			status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
			continue
		}
		status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames,
		})
	}
	for _, r := range resource.SelfReviews {
		status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: []string{verbCreate}, APIGroups: []string{r.GVK.Group}, Resources: []string{r.Plural()},
		})
	}
	return status, nil
}
