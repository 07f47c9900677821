package rbac

import (
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

const seeded = "every cluster has it"

// Seed returns the writes that complete the default roles and bindings, aggregated roles included. It is for the
// start of a master, before anybody may ask.
func Seed(view change.View, now clock.Now) []change.Change {
	have := load(view)
	for _, want := range roles() {
		old := have.byName(want.Name)
		if old == nil {
			have.add(want)
			continue
		}
		if old.role.Annotations[rbacv1.AutoUpdateAnnotationKey] != "false" {
			completeRole(old.role, want)
		}
	}
	have.aggregate()
	g := resource.NewGroup(view, now.Wall)
	have.write(g, view, now.Wall, seeded)
	for _, want := range bindings() {
		seedBinding(g, view, now.Wall, want)
	}
	return g.Changes()
}

// completeRole adds to a role what the default has and it lacks.
func completeRole(r, want *rbacv1.ClusterRole) {
	completeMeta(&r.ObjectMeta, &want.ObjectMeta)
	if want.AggregationRule == nil {
		r.AggregationRule = nil
		_, missing := validation.Covers(r.Rules, want.Rules)
		if len(missing) > 0 {
			// The rules themselves, not their parts: a person reads them.
			for _, rule := range want.Rules {
				if covered, _ := validation.Covers(r.Rules, []rbacv1.PolicyRule{rule}); !covered {
					r.Rules = append(r.Rules, rule)
				}
			}
		}
		return
	}
	if r.AggregationRule == nil {
		r.AggregationRule = &rbacv1.AggregationRule{}
	}
	for _, selector := range want.AggregationRule.ClusterRoleSelectors {
		if !slices.ContainsFunc(r.AggregationRule.ClusterRoleSelectors, func(s metav1.LabelSelector) bool {
			return equality.Semantic.DeepEqual(s, selector)
		}) {
			r.AggregationRule.ClusterRoleSelectors = append(r.AggregationRule.ClusterRoleSelectors, selector)
		}
	}
}

// completeMeta adds labels and annotations; what is there stays.
func completeMeta(m, want *metav1.ObjectMeta) {
	m.Labels, m.Annotations = union(m.Labels, want.Labels), union(m.Annotations, want.Annotations)
}

func union(have, want map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range want {
		out[key] = value
	}
	for key, value := range have {
		out[key] = value
	}
	return out
}

// seedBinding creates a binding or adds the subjects that it lacks. One to another role is replaced: a roleRef can't
// be changed.
func seedBinding(g *resource.Group, view change.View, now time.Time, want *rbacv1.ClusterRoleBinding) {
	rec, _ := view.Get(resource.ClusterRoleBindings.Key("", want.Name))
	old, err := resource.As[*rbacv1.ClusterRoleBinding](resource.ClusterRoleBindings, rec)
	switch {
	case !rec.Exists() || err != nil:
		put(g, resource.ClusterRoleBindings, want, rec.Rev, view, now, seeded)
		return
	case old.Annotations[rbacv1.AutoUpdateAnnotationKey] == "false":
		return
	case old.RoleRef != want.RoleRef:
		want.Labels, want.Annotations = union(old.Labels, want.Labels), union(old.Annotations, want.Annotations)
		want.Subjects = addSubjects(old.Subjects, want.Subjects)
		put(g, resource.ClusterRoleBindings, want, rec.Rev, view, now, "it is of another role than every cluster's")
		return
	}
	updated := old.DeepCopy()
	completeMeta(&updated.ObjectMeta, &want.ObjectMeta)
	updated.Subjects = addSubjects(updated.Subjects, want.Subjects)
	if !equality.Semantic.DeepEqual(old, updated) {
		g.Put(resource.ClusterRoleBindings, updated, rec.Rev, seeded)
	}
}

func addSubjects(have, want []rbacv1.Subject) []rbacv1.Subject {
	for _, s := range want {
		if !slices.Contains(have, s) {
			have = append(have, s)
		}
	}
	return have
}

// put writes a new object.
func put(g *resource.Group, r *resource.Resource, o resource.Object, base change.Rev, view change.View, now time.Time, reason string) {
	o.SetUID(resource.DeriveUID(string(r.Kind) + " " + o.GetName() + " " + view.Rev().String()))
	o.SetCreationTimestamp(metav1.NewTime(now.Truncate(time.Second)))
	g.Put(r, o, base, reason)
}
