package rbac

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// seed is what a master does at its start; it returns the number of writes.
func seed(w *plantest.World) int {
	w.T.Helper()
	changes := Seed(w.Store.View(), w.Now)
	if len(changes) > 0 {
		w.Commit(changes...)
	}
	return len(changes)
}

func getRole(w *plantest.World, name string) *rbacv1.ClusterRole {
	w.T.Helper()
	return plantest.Get[*rbacv1.ClusterRole](w, resource.ClusterRoles, "", name)
}

func newRole(name string, labels map[string]string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Rules: rules}
}

// holds reports whether a role has a rule that names a resource with a verb.
func holds(r *rbacv1.ClusterRole, verb, res string) bool {
	return slices.ContainsFunc(r.Rules, func(rule rbacv1.PolicyRule) bool {
		return slices.Contains(rule.Verbs, verb) && slices.Contains(rule.Resources, res)
	})
}

// A new cluster has the default roles, complete from the first moment; what there is passes the API's own checks; the
// planner and a second start find nothing to do.
func TestDefaults(t *testing.T) {
	w := plantest.New(t, New())
	if n := seed(w); n != len(roles())+len(bindings()) {
		t.Errorf("the first start writes %d objects", n)
	}
	wantLines(t, w.Settle())
	if n := seed(w); n != 0 {
		t.Errorf("the second start writes %d objects", n)
	}
	for _, c := range []struct {
		role, verb, resource string
		holds                bool
	}{
		{"view", "list", "pods", true},
		{"view", "get", "pods/log", true},
		{"view", "get", "secrets", false},
		{"view", "get", "pods/exec", false},
		{"view", "create", "pods", false},
		{"view", "get", "roles", false},
		{"view", "list", "nodes", true}, // of metrics.k8s.io
		{"edit", "list", "pods", true},
		{"edit", "create", "pods/exec", true},
		{"edit", "get", "secrets", true},
		{"edit", "create", "roles", false},
		{"edit", "create", "rolebindings", false},
		{"admin", "create", "rolebindings", true},
		{"admin", "create", "deployments", true},
		{"admin", "escalate", "roles", false},
		{"admin", "bind", "roles", false},
		{"skerry:viewer", "list", "nodes", true},
		{"skerry:viewer", "get", "secrets", false},
	} {
		if holds(getRole(w, c.role), c.verb, c.resource) != c.holds {
			t.Errorf("%s: %s %s is not %v", c.role, c.verb, c.resource, c.holds)
		}
	}
	for _, r := range plantest.List[*rbacv1.ClusterRole](w, resource.ClusterRoles) {
		if errs := resource.ClusterRoles.Validate(r, nil); len(errs) > 0 || r.UID == "" || r.CreationTimestamp.IsZero() {
			t.Errorf("%s: %v", r.Name, errs)
		}
	}
	for _, b := range plantest.List[*rbacv1.ClusterRoleBinding](w, resource.ClusterRoleBindings) {
		if errs := resource.ClusterRoleBindings.Validate(b, nil); len(errs) > 0 || !w.Has(resource.ClusterRoles, "", b.RoleRef.Name) {
			t.Errorf("%s: %v", b.Name, errs)
		}
	}
}

// A start completes what was taken away and keeps what was added; what opts out is left alone. A binding to another
// role is bound to its own again.
func TestReconciledAtStart(t *testing.T) {
	w := plantest.New(t, New())
	seed(w)
	plantest.Update(w, resource.ClusterRoles, "", "skerry:viewer", func(r *rbacv1.ClusterRole) {
		r.Rules = []rbacv1.PolicyRule{on(reading, "", "widgets"), r.Rules[0]}
		r.Labels["mine"] = "yes"
	})
	plantest.Update(w, resource.ClusterRoles, "", "system:discovery", func(r *rbacv1.ClusterRole) {
		r.Annotations[rbacv1.AutoUpdateAnnotationKey] = "false"
		r.Rules = nil
	})
	guest := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "guest"}
	plantest.Update(w, resource.ClusterRoleBindings, "", "skerry:viewers", func(b *rbacv1.ClusterRoleBinding) {
		b.Subjects = []rbacv1.Subject{guest}
	})
	plantest.Update(w, resource.ClusterRoleBindings, "", "system:basic-user", func(b *rbacv1.ClusterRoleBinding) {
		b.Annotations[rbacv1.AutoUpdateAnnotationKey] = "false"
		b.Subjects = nil
	})
	plantest.Update(w, resource.ClusterRoleBindings, "", "skerry:admins", func(b *rbacv1.ClusterRoleBinding) {
		b.Subjects = nil
		b.RoleRef.Name = "view"
	})
	w.Delete(resource.ClusterRoleBindings, "", "cluster-admin")
	if n := seed(w); n != 4 {
		t.Errorf("the start writes %d objects", n)
	}
	if r := getRole(w, "skerry:viewer"); len(r.Rules) != 4 || !holds(r, "get", "widgets") || !holds(r, "get", "leases") || r.Labels["mine"] != "yes" {
		t.Errorf("it is %+v", r)
	}
	if r := getRole(w, "system:discovery"); len(r.Rules) != 0 {
		t.Errorf("a role that opted out is %+v", r)
	}
	binding := func(name string) *rbacv1.ClusterRoleBinding {
		return plantest.Get[*rbacv1.ClusterRoleBinding](w, resource.ClusterRoleBindings, "", name)
	}
	if b := binding("skerry:viewers"); len(b.Subjects) != 2 || b.Subjects[0] != guest || b.Subjects[1].Name != "skerry:viewers" {
		t.Errorf("it is %+v", b)
	}
	if b := binding("system:basic-user"); len(b.Subjects) != 0 {
		t.Errorf("a binding that opted out is %+v", b)
	}
	if b := binding("skerry:admins"); b.RoleRef.Name != "cluster-admin" || len(b.Subjects) != 1 || b.Subjects[0].Name != "skerry:admins" {
		t.Errorf("the administrators have %+v", b)
	}
	if binding("cluster-admin") == nil || seed(w) != 0 {
		t.Error("another start has something to write")
	}
}

// A role whose label says so becomes part of the aggregated ones, through all of them, and ceases to be.
func TestAggregation(t *testing.T) {
	w := plantest.New(t, New())
	seed(w)
	w.Put(newRole("crd:view", map[string]string{aggregateTo + "view": "true"}, on(reading, "example.com", "crontabs")))
	wantLines(t, w.Settle(),
		"update clusterroles.rbac.authorization.k8s.io admin: the roles that it is made of have changed",
		"update clusterroles.rbac.authorization.k8s.io edit: the roles that it is made of have changed",
		"update clusterroles.rbac.authorization.k8s.io view: the roles that it is made of have changed")
	for _, name := range []string{"view", "edit", "admin"} {
		if !holds(getRole(w, name), "watch", "crontabs") {
			t.Errorf("%s has not gathered it", name)
		}
	}
	// Rules that a person writes into an aggregated role are overwritten, as in Kubernetes.
	plantest.Update(w, resource.ClusterRoles, "", "view", func(r *rbacv1.ClusterRole) {
		r.Rules = append(r.Rules, on(reading, "", "secrets"))
	})
	w.Settle()
	if holds(getRole(w, "view"), "get", "secrets") {
		t.Error("the aggregated role keeps a rule that no part has")
	}
	w.Delete(resource.ClusterRoles, "", "crd:view")
	w.Settle()
	for _, name := range []string{"view", "edit", "admin"} {
		if holds(getRole(w, name), "watch", "crontabs") {
			t.Errorf("%s keeps the rule of a role that is gone", name)
		}
	}
	wantLines(t, w.Again(New()))
}

// Roles that select each other, or themselves, come to rest.
func TestAggregationInACircle(t *testing.T) {
	w := plantest.New(t, New())
	circle := func(name, from string, labels map[string]string) *rbacv1.ClusterRole {
		r := newRole(name, labels)
		r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{from: "yes"}}}}
		return r
	}
	w.Put(circle("a", "to-a", map[string]string{"to-b": "yes", "to-a": "yes"}), circle("b", "to-b", map[string]string{"to-a": "yes"}),
		newRole("part", map[string]string{"to-b": "yes"}, on(reading, "", "pods")))
	w.Settle()
	if !holds(getRole(w, "a"), "get", "pods") || !holds(getRole(w, "b"), "get", "pods") {
		t.Error("a role of the circle lacks the rule")
	}
	wantLines(t, w.Again(New()))
}
