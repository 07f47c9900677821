package authz

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// maxParts bounds into how many single rights rules are taken apart to compare them: a rule of a thousand verbs and a
// thousand resources has a million. Roles of people have some hundreds.
const maxParts = 20_000

// Covers returns the rights among rules that the user does not hold in the namespace; none when they hold all. It
// says what Kubernetes' Covers does (k8s.io/component-helpers/auth/rbac/validation), within a bound of work.
func (p *Policy) Covers(u User, namespace string, rules []rbacv1.PolicyRule) (missing []rbacv1.PolicyRule, err error) {
	if u.superuser() {
		return nil, nil
	}
	held := p.RulesFor(u, namespace)
	left := maxParts
	for i := range rules {
		rule := &rules[i]
		if slices.ContainsFunc(held, func(h rbacv1.PolicyRule) bool { return covers(&h, rule) }) {
			continue // as a whole, which is almost always so
		}
		if left -= parts(rule); left < 0 {
			return nil, fmt.Errorf("the rules are of more than %d single rights, too many to compare with those that you hold; write fewer verbs, groups, resources and names into a rule", maxParts)
		}
		each(rule, func(part rbacv1.PolicyRule) {
			if !slices.ContainsFunc(held, func(h rbacv1.PolicyRule) bool { return covers(&h, &part) }) {
				missing = append(missing, part)
			}
		})
	}
	return compact(missing), nil
}

// parts is into how many single rights each takes a rule apart; more than maxParts is maxParts+1.
func parts(r *rbacv1.PolicyRule) int {
	n := 1
	for _, factor := range []int{len(r.APIGroups), len(r.Resources), len(r.Verbs), max(1, len(r.ResourceNames))} {
		if n *= factor; n > maxParts {
			return maxParts + 1
		}
	}
	return min(n+min(len(r.NonResourceURLs), maxParts)*min(len(r.Verbs), maxParts), maxParts+1)
}

// each takes a rule apart.
func each(r *rbacv1.PolicyRule, visit func(rbacv1.PolicyRule)) {
	for _, group := range r.APIGroups {
		for _, name := range r.Resources {
			for _, verb := range r.Verbs {
				part := rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{name}, Verbs: []string{verb}}
				if len(r.ResourceNames) == 0 {
					visit(part)
				}
				for _, object := range r.ResourceNames {
					part.ResourceNames = []string{object}
					visit(part)
				}
			}
		}
	}
	for _, path := range r.NonResourceURLs {
		for _, verb := range r.Verbs {
			visit(rbacv1.PolicyRule{NonResourceURLs: []string{path}, Verbs: []string{verb}})
		}
	}
}

// covers reports whether one rule alone allows all that another does.
func covers(held, wanted *rbacv1.PolicyRule) bool {
	return coversAll(held.Verbs, wanted.Verbs) && coversAll(held.APIGroups, wanted.APIGroups) &&
		every(wanted.Resources, func(name string) bool {
			sub := strings.IndexByte(name, '/')
			return has(held.Resources, name) || sub >= 0 && slices.Contains(held.Resources, "*"+name[sub:])
		}) &&
		every(wanted.NonResourceURLs, func(path string) bool { return allowsPath(held.NonResourceURLs, path) }) &&
		(len(held.ResourceNames) == 0 || len(wanted.ResourceNames) > 0 &&
			every(wanted.ResourceNames, func(name string) bool { return slices.Contains(held.ResourceNames, name) }))
}

func coversAll(held, wanted []string) bool {
	return every(wanted, func(name string) bool { return has(held, name) })
}

func every(list []string, holds func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !holds(s) })
}

// compact puts single rights to the same thing into one rule, so that people can read them.
func compact(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	at := map[string]int{}
	for _, r := range rules {
		key := fmt.Sprintf("%q %q %q %q", r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs)
		i, known := at[key]
		if !known {
			at[key] = len(out)
			out = append(out, r)
			continue
		}
		out[i].Verbs = append(out[i].Verbs, r.Verbs...)
	}
	return out
}

// Describe is a rule as Kubernetes writes it: {APIGroups:[""], Resources:["pods"], Verbs:["get"]}.
func Describe(r rbacv1.PolicyRule) string {
	var parts []string
	for _, part := range []struct {
		name string
		list []string
	}{{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"NonResourceURLs", r.NonResourceURLs}, {"ResourceNames", r.ResourceNames}, {"Verbs", r.Verbs}} {
		if len(part.list) > 0 {
			// %q of a slice puts spaces where Kubernetes does.
			parts = append(parts, fmt.Sprintf("%s:%q", part.name, part.list))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
