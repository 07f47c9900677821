package rbac

import (
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// clusterRoles are all that there are, by name; they are changed in place and then written.
type clusterRoles []*clusterRole

type clusterRole struct {
	role *rbacv1.ClusterRole
	old  *rbacv1.ClusterRole // as the view has it; nil: it is new
	rev  change.Rev
}

// load reads the roles of a view. What can't be read is left alone.
func load(view change.View) clusterRoles {
	var all clusterRoles
	for rec := range view.List(resource.ClusterRoles.Kind, "") {
		if r, err := resource.As[*rbacv1.ClusterRole](resource.ClusterRoles, rec); err == nil {
			all = append(all, &clusterRole{role: r, old: r.DeepCopy(), rev: rec.Rev})
		}
	}
	return all
}

func (all clusterRoles) byName(name string) *clusterRole {
	for _, r := range all {
		if r.role.Name == name {
			return r
		}
	}
	return nil
}

func (all *clusterRoles) add(r *rbacv1.ClusterRole) {
	*all = append(*all, &clusterRole{role: r})
	slices.SortFunc(*all, func(a, b *clusterRole) int { return strings.Compare(a.role.Name, b.role.Name) })
}

// aggregate gives each aggregated role its rules. A role may be part of another that is part of a third, so it goes
// on until nothing changes; each round carries rules one step further.
func (all clusterRoles) aggregate() {
	for range len(all) + 1 {
		changed := false
		for _, r := range all {
			if r.role.AggregationRule == nil || r.role.DeletionTimestamp != nil {
				continue
			}
			if rules := all.gather(r.role); !equality.Semantic.DeepEqual(rules, r.role.Rules) {
				r.role.Rules, changed = rules, true
			}
		}
		if !changed {
			return
		}
	}
}

// gather are the rules of the roles that an aggregated one selects, each once.
func (all clusterRoles) gather(whole *rbacv1.ClusterRole) []rbacv1.PolicyRule {
	rules := []rbacv1.PolicyRule{}
	for i := range whole.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&whole.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			continue // validation lets in none
		}
		for _, part := range all {
			if part.role.Name == whole.Name || !selector.Matches(labels.Set(part.role.Labels)) {
				continue
			}
			for _, rule := range part.role.Rules {
				if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(r, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules
}

// write writes the roles that are not as they were.
func (all clusterRoles) write(g *resource.Group, view change.View, now time.Time, reason string) {
	for _, r := range all {
		switch {
		case r.old == nil:
			put(g, resource.ClusterRoles, r.role, 0, view, now, reason)
		case !equality.Semantic.DeepEqual(r.old, r.role):
			g.Put(resource.ClusterRoles, r.role, r.rev, reason)
		}
	}
}
