package apiserver

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

const notHeld = "is attempting to grant RBAC permissions not currently held"

// aRole is a role with one rule.
func aRole(name, verbs, resources string) string {
	return fmt.Sprintf(`{"metadata": {"name": %q}, "rules": [{"verbs": [%s], "apiGroups": [""], "resources": [%s]}]}`, name, verbs, resources)
}

// aBinding gives a role to the user mallory.
func aBinding(name, kind, role string) string {
	return fmt.Sprintf(`{"metadata": {"name": %q}, "roleRef": {"kind": %q, "name": %q}, "subjects": [{"kind": "User", "name": "mallory"}]}`, name, kind, role)
}

// Nobody gives away rights that they don't hold (Kubernetes: privilege escalation prevention), by a new role, a changed
// one, or a binding.
func TestEscalation(t *testing.T) {
	a := newAPI(t)
	a.give("adam", "admin") // may write roles and bindings here
	ok := func(r reply, what string) {
		t.Helper()
		if r.code/100 != 2 {
			t.Errorf("%s: %d %s", what, r.code, r.body)
		}
	}
	ok(a.as("adam", "POST", rolesPath, aRole("pods", `"get", "create"`, `"pods"`)), "a role with rights that are held")
	said := a.as("adam", "POST", rolesPath, aRole("nodes", `"get", "list"`, `"nodes", "pods"`)).fails(403, metav1.StatusReasonForbidden, notHeld)
	want := `roles.rbac.authorization.k8s.io "nodes" is forbidden: user "adam" (groups=["people" "system:authenticated"]) ` + notHeld +
		":\n" + `{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}`
	if said.Message != want {
		t.Errorf("says\n%s, not\n%s", said.Message, want)
	}
	a.as("adam", "PUT", rolesPath+"/pods", aRole("pods", `"*"`, `"*"`)).fails(403, metav1.StatusReasonForbidden, notHeld)
	a.do(ask{method: "PATCH", path: rolesPath + "/pods", user: "adam", groups: []string{"people"}, contentType: "application/merge-patch+json",
		body: `{"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["nodes"]}]}`}).fails(403, metav1.StatusReasonForbidden, notHeld)

	ok(a.as("adam", "POST", roleBindingsPath, aBinding("b1", "Role", "pods")), "a binding to a role whose rights are held")
	ok(a.as("adam", "POST", roleBindingsPath, aBinding("b2", "ClusterRole", "view")), "a binding to view")
	a.as("adam", "POST", roleBindingsPath, aBinding("b3", "ClusterRole", "cluster-admin")).fails(403, metav1.StatusReasonForbidden, notHeld)
	a.as("adam", "POST", roleBindingsPath, aBinding("b4", "Role", "later")).fails(404, metav1.StatusReasonNotFound, `roles.rbac.authorization.k8s.io "later" not found`)
	a.as("adam", "POST", clusterRoleBindingsPath, aBinding("b5", "ClusterRole", "view")).fails(403, metav1.StatusReasonForbidden, "cannot create")

	// A dry run tells the same.
	a.as("adam", "POST", rolesPath+"?dryRun=All", aRole("nodes", `"get"`, `"nodes"`)).fails(403, metav1.StatusReasonForbidden, notHeld)
	// A role whose rights are not held can't be touched, not even its labels; it can be deleted.
	a.put(resource.Roles, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "big"}, Rules: []rbacv1.PolicyRule{rule("*", "*", "*")}})
	a.do(ask{method: "PATCH", path: rolesPath + "/big", user: "adam", groups: []string{"people"}, contentType: "application/merge-patch+json",
		body: `{"metadata": {"labels": {"a": "b"}}}`}).fails(403, metav1.StatusReasonForbidden, notHeld)
	a.do(ask{method: "PATCH", path: rolesPath + "/big", user: "adam", groups: []string{"people"}, contentType: "application/merge-patch+json",
		body: `{"metadata": {"finalizers": ["example.com/hold"]}}`}).into(200, &rbacv1.Role{})
	a.as("adam", "DELETE", rolesPath+"/big", nil).into(200, &rbacv1.Role{}) // held by its finalizer
	// Administrators hold everything.
	ok(a.post(clusterRoleBindingsPath, aBinding("all", "ClusterRole", "cluster-admin")), "an administrator's binding")
}

// The verbs escalate and bind make up for rights that are not held.
func TestEscalateAndBind(t *testing.T) {
	a := newAPI(t)
	a.give("eve", "writes", rule("create,update,get", rbacv1.GroupName, "roles,rolebindings"))
	a.as("eve", "POST", rolesPath, aRole("r", `"get"`, `"pods"`)).fails(403, metav1.StatusReasonForbidden, notHeld)
	a.as("eve", "POST", roleBindingsPath, aBinding("b", "ClusterRole", "view")).fails(403, metav1.StatusReasonForbidden, notHeld)
	a.give("eve", "escalates", rule("escalate", rbacv1.GroupName, "roles", "r"), rule("bind", rbacv1.GroupName, "clusterroles", "view"))
	for path, body := range map[string]string{
		rolesPath: aRole("r", `"get"`, `"pods"`), roleBindingsPath: aBinding("b", "ClusterRole", "view"),
	} {
		if r := a.as("eve", "POST", path, body); r.code != 201 {
			t.Errorf("%s: %d %s", path, r.code, r.body)
		}
	}
	// Of these alone.
	a.as("eve", "POST", rolesPath, aRole("s", `"get"`, `"pods"`)).fails(403, metav1.StatusReasonForbidden, notHeld)
	a.as("eve", "POST", roleBindingsPath, aBinding("c", "ClusterRole", "edit")).fails(403, metav1.StatusReasonForbidden, notHeld)
}

// Cluster roles need rights that hold everywhere; a label that makes a role part of others is a grant; an aggregated
// role may gather anything, so that it needs all rights.
func TestEscalationOfClusterRoles(t *testing.T) {
	a := newAPI(t)
	everywhere := func(user, role string, rules ...rbacv1.PolicyRule) {
		a.put(resource.ClusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: role}, Rules: rules})
		a.put(resource.ClusterRoleBindings, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user + "-" + role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		})
	}
	everywhere("eve", "writer", rule("create,update,patch,get", rbacv1.GroupName, "clusterroles,clusterrolebindings"), rule("get", "", "nodes"))
	a.give("eve", "edit") // here alone
	if r := a.as("eve", "POST", clusterRolesPath, aRole("nodes", `"get"`, `"nodes"`)); r.code != 201 {
		t.Errorf("rights that are held everywhere: %d %s", r.code, r.body)
	}
	a.as("eve", "POST", clusterRolesPath, aRole("pods", `"get"`, `"pods"`)).fails(403, metav1.StatusReasonForbidden, notHeld)
	a.as("eve", "POST", clusterRoleBindingsPath, aBinding("b", "ClusterRole", "edit")).fails(403, metav1.StatusReasonForbidden, notHeld)
	a.as("eve", "POST", clusterRolesPath, `{"metadata": {"name": "paths"}, "rules": [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}]}`).
		fails(403, metav1.StatusReasonForbidden, `{NonResourceURLs:["/metrics"], Verbs:["get"]}`)
	patch := func(role, body string) reply {
		return a.do(ask{method: "PATCH", path: clusterRolesPath + "/" + role, user: "eve", groups: []string{"people"},
			contentType: "application/merge-patch+json", body: body})
	}
	patch("cluster-admin", `{"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}`).
		fails(403, metav1.StatusReasonForbidden, notHeld)
	const aggregates = "must have cluster-admin privileges to use the aggregationRule"
	a.as("eve", "POST", clusterRolesPath, `{"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}`).
		fails(403, metav1.StatusReasonForbidden, aggregates)
	patch("nodes", `{"aggregationRule": {"clusterRoleSelectors": [{}]}}`).fails(403, metav1.StatusReasonForbidden, aggregates)
	a.put(resource.ClusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "empty"},
		AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}}}})
	patch("empty", `{"aggregationRule": null}`).fails(403, metav1.StatusReasonForbidden, aggregates)
}

// What a binding gives can't be changed: it is made anew.
func TestRoleRefIsImmutable(t *testing.T) {
	a := newAPI(t)
	a.post(roleBindingsPath, aBinding("b", "ClusterRole", "view")).into(201, &rbacv1.RoleBinding{})
	a.do(ask{method: "PUT", path: roleBindingsPath + "/b", body: aBinding("b", "ClusterRole", "edit")}).
		fails(422, metav1.StatusReasonInvalid, "cannot change roleRef")
}
