package apiserver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/apiserver/authz"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// maxMissing is how many rules a refusal lists.
const maxMissing = 50

// mayGrant keeps a user from giving away, or from preparing to give away, rights that they don't hold, as Kubernetes
// does (pkg/registry/rbac). It looks at every write but those that only let the object go: a label alone can make a
// role part of others.
func (c *call) mayGrant(o resource.Object, old change.Record) error {
	if !slices.Contains(rbacKinds, c.res.Kind) || letsGo(c.res, o, old) {
		return nil
	}
	policy, err := c.policies.now()
	if err != nil {
		return err
	}
	switch o := o.(type) {
	case *rbacv1.Role:
		return c.mayHold(policy, o, o.Rules)
	case *rbacv1.ClusterRole:
		if err := c.mayHold(policy, o, o.Rules); err != nil {
			return err
		}
		return c.mayAggregate(policy, o, old)
	case *rbacv1.RoleBinding:
		return c.mayBind(policy, o, o.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		return c.mayBind(policy, o, o.RoleRef)
	}
	return nil
}

// letsGo reports whether a write changes nothing but what holds an object: its owners, its finalizers, and that it is
// being deleted.
func letsGo(r *resource.Resource, o resource.Object, old change.Record) bool {
	if !old.Exists() {
		return false
	}
	before, err := r.Decode(old)
	if err != nil {
		return false
	}
	after := o.DeepCopyObject().(resource.Object)
	after.SetOwnerReferences(before.GetOwnerReferences())
	after.SetFinalizers(before.GetFinalizers())
	after.SetDeletionTimestamp(before.GetDeletionTimestamp())
	after.SetDeletionGracePeriodSeconds(before.GetDeletionGracePeriodSeconds())
	after.SetResourceVersion(before.GetResourceVersion())
	after.GetObjectKind().SetGroupVersionKind(before.GetObjectKind().GroupVersionKind())
	return equality.Semantic.DeepEqual(before, after)
}

// mayHold: the rules of a role are rights that the user holds, or the user has the right to escalate.
func (c *call) mayHold(policy *authz.Policy, o resource.Object, rules []rbacv1.PolicyRule) error {
	if c.mayVerb(policy, "escalate", c.groupResource().Resource, o.GetName()) {
		return nil
	}
	return c.holds(policy, o, rules)
}

// mayAggregate: what an aggregated role gathers may be anything, and taking the aggregation away may be too.
func (c *call) mayAggregate(policy *authz.Policy, o *rbacv1.ClusterRole, old change.Record) error {
	aggregates := o.AggregationRule != nil
	if old.Exists() && !aggregates {
		before, err := resource.As[*rbacv1.ClusterRole](resource.ClusterRoles, old)
		aggregates = err != nil || before.AggregationRule != nil
	}
	if !aggregates || c.mayVerb(policy, "escalate", c.groupResource().Resource, o.Name) {
		return nil
	}
	if missing, err := policy.Covers(c.user.who(), c.namespace, authz.Everything()); err != nil || len(missing) > 0 {
		return apierrors.NewForbidden(c.groupResource(), o.Name, errors.New("must have cluster-admin privileges to use the aggregationRule"))
	}
	return nil
}

// mayBind: the role that a binding gives has only rights that the user holds, or the user has the right to bind it.
func (c *call) mayBind(policy *authz.Policy, o resource.Object, ref rbacv1.RoleRef) error {
	kind := strings.ToLower(ref.Kind) + "s"
	if c.mayVerb(policy, "bind", kind, ref.Name) {
		return nil
	}
	rules, found := policy.Rules(ref, c.namespace)
	if !found {
		// Nothing can be said about a role that may come later.
		return apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: kind}, ref.Name)
	}
	return c.holds(policy, o, rules)
}

// mayVerb reports whether the user has a right that makes up for those that they don't hold.
func (c *call) mayVerb(policy *authz.Policy, verb, kind, name string) bool {
	allowed, _ := policy.Authorize(c.user.who(), authz.Attributes{
		Verb: verb, Group: rbacv1.GroupName, Resource: kind, Namespace: c.namespace, Name: name,
	})
	return allowed
}

// holds refuses rules that are more than what the user holds.
func (c *call) holds(policy *authz.Policy, o resource.Object, rules []rbacv1.PolicyRule) error {
	missing, err := policy.Covers(c.user.who(), c.namespace, rules)
	if err == nil && len(missing) == 0 {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
			c.user.name, c.user.groups, listRules(missing))
	}
	return apierrors.NewForbidden(c.groupResource(), o.GetName(), err)
}

// listRules shows rules in order, a line each.
func listRules(rules []rbacv1.PolicyRule) string {
	var lines []string
	for _, r := range rules {
		lines = append(lines, authz.Describe(r))
	}
	slices.Sort(lines)
	if more := len(lines) - maxMissing; more > 0 {
		lines = append(lines[:maxMissing], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}
