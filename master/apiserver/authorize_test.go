package apiserver

import (
	"fmt"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

const (
	rolesPath               = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
	roleBindingsPath        = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
	clusterRolesPath        = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
	clusterRoleBindingsPath = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
)

// as is a request of a user who is in no group that gives rights.
func (a *api) as(user, method, path string, body any) reply {
	a.t.Helper()
	return a.do(ask{method: method, path: path, body: body, user: user, groups: []string{"people"}})
}

// give binds a role to a user in the namespace default; an existing ClusterRole when it has no rules.
func (a *api) give(user, role string, rules ...rbacv1.PolicyRule) {
	a.t.Helper()
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	if len(rules) > 0 {
		ref.Kind = "Role"
		a.put(resource.Roles, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: role}, Rules: rules})
	}
	a.put(resource.RoleBindings, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: user + "-" + role}, RoleRef: ref,
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	})
}

func rule(verbs, group, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		Verbs: strings.Split(verbs, ","), APIGroups: []string{group}, Resources: strings.Split(resources, ","), ResourceNames: names,
	}
}

// What is refused is refused in Kubernetes' words.
func TestForbidden(t *testing.T) {
	a := newAPI(t)
	a.put(resource.RoleBindings, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "b"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "gone"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "eve"}},
	})
	for _, c := range []struct{ user, method, path, message string }{
		{"bob", "GET", podsPath, `pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"`},
		{"bob", "GET", podsPath + "?watch=true", `pods is forbidden: User "bob" cannot watch resource "pods" in API group "" in the namespace "default"`},
		{"bob", "GET", "/api/v1/pods", `pods is forbidden: User "bob" cannot list resource "pods" in API group "" at the cluster scope`},
		{"bob", "GET", "/api/v1/nodes/n1", `nodes "n1" is forbidden: User "bob" cannot get resource "nodes" in API group "" at the cluster scope`},
		{"bob", "GET", "/api/v1/namespaces/default", `namespaces "default" is forbidden: User "bob" cannot get resource "namespaces" in API group "" in the namespace "default"`},
		{"bob", "GET", podsPath + "/p/log", `pods "p" is forbidden: User "bob" cannot get resource "pods/log" in API group "" in the namespace "default"`},
		{"bob", "POST", podsPath, `pods is forbidden: User "bob" cannot create resource "pods" in API group "" in the namespace "default"`},
		{"bob", "DELETE", podsPath, `pods is forbidden: User "bob" cannot deletecollection resource "pods" in API group "" in the namespace "default"`},
		{"bob", "PATCH", deploymentsPath + "/d/scale", `deployments.apps "d" is forbidden: User "bob" cannot patch resource "deployments/scale" in API group "apps" in the namespace "default"`},
		{"bob", "POST", "/apis/nowhere", `forbidden: User "bob" cannot post path "/apis/nowhere"`},
		{"bob", "GET", "/metrics", `forbidden: User "bob" cannot get path "/metrics"`},
		{"bob", "POST", "/apis/skerry.dev/v1/jointokens", `jointokens.skerry.dev is forbidden: User "bob" cannot create resource "jointokens" in API group "skerry.dev" at the cluster scope`},
		{"bob", "POST", "/apis/skerry.dev/v1/brokeraccess", `brokeraccess.skerry.dev is forbidden: User "bob" cannot create resource "brokeraccess" in API group "skerry.dev" at the cluster scope`},
		{"eve", "GET", podsPath, `pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default": RBAC: roles.rbac.authorization.k8s.io "gone" not found`},
	} {
		status := a.as(c.user, c.method, c.path, nil).fails(403, metav1.StatusReasonForbidden, c.message)
		if status.Message != c.message {
			t.Errorf("says\n%s, not\n%s", status.Message, c.message)
		}
	}
	// Discovery is for everybody who is somebody.
	for _, path := range []string{"/api", "/apis", "/api/v1", "/apis/apps/v1", "/openapi/v2", "/version"} {
		if r := a.as("bob", "GET", path, nil); r.code != 200 {
			t.Errorf("%s answers %d: %s", path, r.code, r.body)
		}
	}
}

// Viewers read all but Secrets, and change nothing; who edits in one namespace does so there alone.
func TestDefaultRoles(t *testing.T) {
	a := newAPI(t)
	a.put(resource.Namespaces, namespace("other", nil))
	a.give("ed", "edit")
	a.give("adam", "admin")
	viewer := func(method, path string) reply {
		return a.do(ask{method: method, path: path, groups: []string{GroupViewers}})
	}
	for _, path := range []string{podsPath, "/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces", "/apis/apps/v1/deployments",
		"/apis/coordination.k8s.io/v1/leases", "/apis/metrics.k8s.io/v1beta1/nodes", "/apis/events.k8s.io/v1/events", "/api/v1/serviceaccounts"} {
		if r := viewer("GET", path); r.code != 200 {
			t.Errorf("a viewer gets %s: %d %s", path, r.code, r.body)
		}
	}
	for _, c := range []struct{ method, path string }{
		{"GET", "/api/v1/secrets"}, {"GET", "/api/v1/namespaces/default/secrets"}, {"GET", "/api/v1/namespaces/default/secrets/s"},
		{"POST", podsPath}, {"DELETE", podsPath + "/p"}, {"PUT", podsPath + "/p"}, {"PATCH", podsPath + "/p/status"},
		{"GET", podsPath + "/p/exec"}, {"POST", podsPath + "/p/exec"}, {"GET", podsPath + "/p/attach"}, {"GET", podsPath + "/p/portforward"},
		{"POST", podsPath + "/p/eviction"}, {"POST", podsPath + "/p/binding"},
		{"POST", clusterRoleBindingsPath}, {"POST", roleBindingsPath}, {"GET", clusterRolesPath},
		{"GET", "/apis/skerry.dev/v1/jointokens"}, {"POST", "/apis/skerry.dev/v1/brokeraccess"},
	} {
		viewer(c.method, c.path).fails(403, metav1.StatusReasonForbidden, "cannot")
	}
	var cm any = configMap("c", nil)
	if r := a.as("ed", "POST", configMapsPath, cm); r.code != 201 {
		t.Errorf("an editor makes a ConfigMap: %d %s", r.code, r.body)
	}
	for _, path := range []string{podsPath, "/api/v1/namespaces/default/secrets", "/api/v1/namespaces/default"} {
		if r := a.as("ed", "GET", path, nil); r.code != 200 {
			t.Errorf("an editor gets %s: %d %s", path, r.code, r.body)
		}
	}
	for _, c := range []struct{ method, path string }{
		{"GET", "/api/v1/namespaces/other/pods"}, {"GET", "/api/v1/pods"}, {"GET", "/api/v1/namespaces/other"}, {"GET", "/api/v1/namespaces"},
		{"GET", "/api/v1/nodes"}, {"GET", rolesPath}, {"POST", roleBindingsPath}, {"DELETE", "/api/v1/namespaces/default"},
		{"POST", "/api/v1/namespaces/other/configmaps"}, {"PATCH", podsPath + "/p/status"},
	} {
		a.as("ed", c.method, c.path, nil).fails(403, metav1.StatusReasonForbidden, "cannot")
	}
	if r := a.as("adam", "GET", rolesPath, nil); r.code != 200 {
		t.Errorf("an admin lists roles: %d %s", r.code, r.body)
	}
}

// A connection into a container needs the verb create, also where it begins with GET as websockets do: as Kubernetes
// since 1.35.
func TestConnectingNeedsCreate(t *testing.T) {
	a := newAPI(t)
	a.give("reader", "reads", rule("get", "", "pods/exec,pods/attach,pods/portforward"))
	a.give("caller", "calls", rule("get,create", "", "pods/exec,pods/attach,pods/portforward"))
	for _, sub := range connecting {
		a.as("reader", "GET", podsPath+"/p/"+sub, nil).fails(403, metav1.StatusReasonForbidden,
			fmt.Sprintf(`cannot create resource "pods/%s"`, sub))
		if r := a.as("caller", "GET", podsPath+"/p/"+sub+"?command=x&ports=1&stdout=1", nil); r.code == 403 {
			t.Errorf("%s is refused: %s", sub, r.body)
		}
	}
}

// A rule that names objects allows what is done to these, and to list or watch what is chosen by their name; never to
// create, and never a whole collection.
func TestResourceNames(t *testing.T) {
	a := newAPI(t)
	a.give("bob", "one", rule("get,list,watch,create,deletecollection", "", "configmaps", "mine"))
	a.put(resource.ConfigMaps, configMap("mine", nil))
	for _, path := range []string{configMapsPath + "/mine", configMapsPath + "?fieldSelector=metadata.name%3Dmine"} {
		if r := a.as("bob", "GET", path, nil); r.code != 200 {
			t.Errorf("%s: %d %s", path, r.code, r.body)
		}
	}
	for _, c := range []struct{ method, path string }{
		{"GET", configMapsPath}, {"GET", configMapsPath + "/other"}, {"GET", configMapsPath + "?fieldSelector=metadata.name%3Dother"},
		{"GET", configMapsPath + "?fieldSelector=metadata.name%21%3Dmine"},
		{"GET", configMapsPath + "/other?fieldSelector=metadata.name%3Dmine"},
		{"POST", configMapsPath}, {"POST", configMapsPath + "?fieldSelector=metadata.name%3Dmine"},
		{"DELETE", configMapsPath}, {"DELETE", configMapsPath + "?fieldSelector=metadata.name%3Dmine"},
	} {
		a.as("bob", c.method, c.path, nil).fails(403, metav1.StatusReasonForbidden, "cannot")
	}
}

// Rights that are given or taken count from the next request on.
func TestRightsChangeAtOnce(t *testing.T) {
	a := newAPI(t)
	binding := roleBindingsPath + "/b"
	for range 3 {
		a.as("bob", "GET", podsPath, nil).fails(403, metav1.StatusReasonForbidden, "")
		a.post(roleBindingsPath, `{"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "User", "name": "bob"}]}`).into(201, &rbacv1.RoleBinding{})
		if r := a.as("bob", "GET", podsPath, nil); r.code != 200 {
			t.Errorf("with the binding: %d %s", r.code, r.body)
		}
		a.do(ask{method: "DELETE", path: binding}).into(200, &metav1.Status{})
	}
	// Also when more was written meanwhile than the store's history holds.
	for i := range 3000 {
		a.put(resource.Roles, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "r", Annotations: map[string]string{"n": fmt.Sprint(i)}}})
	}
	a.give("bob", "edit")
	if r := a.as("bob", "GET", podsPath, nil); r.code != 200 {
		t.Errorf("after many writes: %d %s", r.code, r.body)
	}
}

// Nobody acts as somebody else, and nobody is answered as if they had not asked to.
func TestImpersonationIsRefused(t *testing.T) {
	a := newAPI(t)
	for _, name := range []string{"Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-Scopes"} {
		a.do(ask{method: "GET", path: podsPath, header: map[string][]string{name: {"ann"}}}).
			fails(403, metav1.StatusReasonForbidden, "impersonation is not supported by skerry")
	}
}

// What somebody else may do is told to those who may ask.
func TestAccessOfOthers(t *testing.T) {
	a := newAPI(t)
	const path, local = "/apis/authorization.k8s.io/v1/subjectaccessreviews", "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews"
	a.give("ed", "edit")
	a.give("adam", "admin")
	for _, c := range []struct {
		path, spec string
		allowed    bool
	}{
		{path, `"user": "ed", "resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}`, true},
		{path, `"user": "ed", "resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "other"}`, false},
		{path, `"user": "x", "groups": ["skerry:viewers"], "resourceAttributes": {"verb": "list", "resource": "nodes"}`, true},
		{local, `"user": "ed", "resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}`, true},
		{local, `"user": "eve", "resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}`, false},
	} {
		var answer authorizationv1.SubjectAccessReview
		a.post(c.path, fmt.Sprintf(`{"spec": {%s}}`, c.spec)).into(201, &answer)
		if answer.Status.Allowed != c.allowed {
			t.Errorf("%s: %+v", c.spec, answer.Status)
		}
	}
	const spec = `{"spec": {"user": "eve", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}`
	a.as("ed", "POST", path, spec).fails(403, metav1.StatusReasonForbidden, "")
	a.as("ed", "POST", local, spec).fails(403, metav1.StatusReasonForbidden, "")
	a.as("adam", "POST", path, spec).fails(403, metav1.StatusReasonForbidden, "")
	a.as("adam", "POST", local, spec).into(201, &authorizationv1.LocalSubjectAccessReview{})
	a.post(path, `{"spec": {"resourceAttributes": {"verb": "get"}}}`).fails(422, metav1.StatusReasonInvalid, "at least one of user or group must be specified")
	a.post(local, `{"spec": {"user": "x", "resourceAttributes": {"verb": "get", "namespace": "other"}}}`).fails(422, metav1.StatusReasonInvalid, "must match metadata.namespace")
	a.post(local, `{"spec": {"user": "x", "nonResourceAttributes": {"verb": "get", "path": "/"}}}`).fails(422, metav1.StatusReasonInvalid, "disallowed on this kind of request")
}

// The list of what one may do has the rules of all bindings, here and everywhere.
func TestRulesReview(t *testing.T) {
	a := newAPI(t)
	a.give("bob", "one", rule("get", "", "configmaps", "mine"))
	const path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
	var here, elsewhere authorizationv1.SelfSubjectRulesReview
	a.as("bob", "POST", path, `{"spec": {"namespace": "default"}}`).into(201, &here)
	a.as("bob", "POST", path, `{"spec": {"namespace": "other"}}`).into(201, &elsewhere)
	if n, m := len(here.Status.ResourceRules), len(elsewhere.Status.ResourceRules); n != m+1 || m == 0 || len(here.Status.NonResourceRules) == 0 {
		t.Errorf("%d rules here, %d elsewhere", n, m)
	}
	if last := here.Status.ResourceRules[len(here.Status.ResourceRules)-1]; len(last.ResourceNames) != 1 || last.ResourceNames[0] != "mine" {
		t.Errorf("it is %+v", last)
	}
}
