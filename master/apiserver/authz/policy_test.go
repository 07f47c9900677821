package authz

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
	"sigs.k8s.io/yaml"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

// policy is what objects, as YAML documents, say.
func policy(t testing.TB, documents string) *Policy {
	t.Helper()
	w := plantest.New(t)
	for document := range strings.SplitSeq(documents, "---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatal(err)
		}
		r := resource.ByGVK(rbacv1.SchemeGroupVersion.WithKind(kind.Kind))
		if r == nil {
			t.Fatalf("there is no kind %q", kind.Kind)
		}
		o := r.New()
		if err := yaml.UnmarshalStrict([]byte(document), o); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if r.Default != nil {
			r.Default(o)
		}
		if r.Namespaced && o.GetNamespace() == "" {
			o.SetNamespace("dev")
		}
		if errs := r.Validate(o, nil); len(errs) > 0 {
			t.Fatalf("%v in\n%s", errs, document)
		}
		w.Put(o)
	}
	p, problems := New(w.Store.View())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// parse reads what somebody wants to do: "VERB RESOURCE[/SUB][.GROUP] [NAMESPACE[/NAME]]" or "VERB /path".
func parse(text string) Attributes {
	parts := strings.Fields(text)
	a := Attributes{Verb: parts[0]}
	if strings.HasPrefix(parts[1], "/") {
		a.Path = parts[1]
		return a
	}
	a.Resource, a.Group, _ = strings.Cut(parts[1], ".")
	a.Resource, a.Subresource, _ = strings.Cut(a.Resource, "/")
	if len(parts) > 2 {
		a.Namespace, a.Name, _ = strings.Cut(parts[2], "/")
	}
	return a
}

// check tells what a user may do of some requests, and what not.
func check(t *testing.T, p *Policy, u User, may, mayNot string) {
	t.Helper()
	for want, list := range map[bool]string{true: may, false: mayNot} {
		for text := range strings.SplitSeq(strings.Trim(list, "\n\t "), "\n") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			if got, reason := p.Authorize(u, parse(text)); got != want {
				t.Errorf("%s: %s is %v (%s)", u.Name, text, got, reason)
			}
		}
	}
}

// What a rule means: verbs, groups, resources and subresources, names, paths (Kubernetes' documentation of RBAC).
func TestRules(t *testing.T) {
	p := policy(t, `
kind: ClusterRole
metadata: {name: mixed}
rules:
- {verbs: [get, list], apiGroups: [""], resources: [pods, pods/log]}
- {verbs: [update], apiGroups: ["*"], resources: ["*/scale"]}
- {verbs: ["*"], apiGroups: [batch], resources: [jobs]}
- {verbs: [get], apiGroups: [wide.example.com], resources: ["*"]}
- {verbs: [get, list, watch, create, deletecollection], apiGroups: [""], resources: [configmaps], resourceNames: [one, two]}
- {verbs: [get, post], nonResourceURLs: [/metrics, /logs/*]}
---
kind: ClusterRoleBinding
metadata: {name: ann}
roleRef: {kind: ClusterRole, name: mixed}
subjects: [{kind: User, name: ann}]
`)
	check(t, p, User{Name: "ann"}, `
		get pods dev/x
		list pods
		get pods/log dev/x
		update deployments/scale.apps dev/x
		update widgets/scale.example.com dev/x
		delete jobs.batch dev/x
		frobnicate jobs.batch
		get anything.wide.example.com
		get anything/status.wide.example.com
		get configmaps dev/one
		list configmaps dev/two
		watch configmaps dev/two
		create configmaps dev/one
		get /metrics
		get /logs/
		post /logs/a/b`, `
		watch pods
		* pods
		get pods/exec dev/x
		get pods/status dev/x
		get pods.apps dev/x
		get *
		get deployments/scale.apps dev/x
		update scale.apps dev/x
		update deployments.apps dev/x
		update deployments/scales.apps dev/x
		delete jobs/status.batch dev/x
		get configmaps dev/three
		list configmaps dev
		watch configmaps dev
		create configmaps dev
		deletecollection configmaps dev
		get /metrics/cadvisor
		get /logs
		put /metrics
		get /`)
}

// A RoleBinding gives a Role, or a ClusterRole, in its own namespace; a ClusterRoleBinding gives a ClusterRole everywhere.
// A role of another namespace, of another kind, or of no name at all gives nothing.
func TestScopes(t *testing.T) {
	p := policy(t, `
kind: ClusterRole
metadata: {name: reader}
rules: [{verbs: [get], apiGroups: [""], resources: [pods, nodes]}]
---
kind: Role
metadata: {name: writer, namespace: dev}
rules: [{verbs: [create], apiGroups: [""], resources: [pods]}]
---
kind: RoleBinding
metadata: {name: a, namespace: dev}
roleRef: {kind: ClusterRole, name: reader}
subjects: [{kind: User, name: local}]
---
kind: RoleBinding
metadata: {name: b, namespace: dev}
roleRef: {kind: Role, name: writer}
subjects: [{kind: User, name: local}]
---
kind: RoleBinding
metadata: {name: c, namespace: other}
roleRef: {kind: Role, name: writer}
subjects: [{kind: User, name: local}]
---
kind: ClusterRoleBinding
metadata: {name: d}
roleRef: {kind: ClusterRole, name: reader}
subjects: [{kind: User, name: global}]
---
kind: ClusterRoleBinding
metadata: {name: e}
roleRef: {kind: ClusterRole, name: writer}
subjects: [{kind: User, name: global}]
`)
	check(t, p, User{Name: "local"}, "get pods dev\ncreate pods dev", "get pods other\nget pods\nget nodes\ncreate pods other\ncreate pods")
	check(t, p, User{Name: "global"}, "get pods dev\nget pods\nget nodes", "create pods dev\ncreate pods")
	_, reason := p.Authorize(User{Name: "global"}, parse("get pods dev"))
	if want := `RBAC: allowed by ClusterRoleBinding "d" of ClusterRole "reader" to User "global"`; reason != want {
		t.Errorf("it says %s", reason)
	}
	_, reason = p.Authorize(User{Name: "local"}, parse("create pods other"))
	if want := `RBAC: roles.rbac.authorization.k8s.io "writer" not found`; reason != want {
		t.Errorf("it says %s", reason)
	}
}

// Subjects are users, groups and service accounts; names do not cross from one kind to another.
func TestSubjects(t *testing.T) {
	p := policy(t, `
kind: ClusterRole
metadata: {name: r}
rules: [{verbs: [get], apiGroups: [""], resources: [pods]}]
---
kind: RoleBinding
metadata: {name: a, namespace: dev}
roleRef: {kind: ClusterRole, name: r}
subjects:
- {kind: User, name: ann}
- {kind: Group, name: team}
- {kind: ServiceAccount, name: robot}
- {kind: ServiceAccount, name: visitor, namespace: away}
- {kind: Group, name: "system:serviceaccounts:farm"}
`)
	account := func(namespace, name string) User {
		return User{Name: ServiceAccountUser(namespace, name), Groups: []string{GroupServiceAccounts, GroupServiceAccounts + ":" + namespace, GroupAuthenticated}}
	}
	for _, c := range []struct {
		user User
		may  bool
	}{
		{User{Name: "ann"}, true},
		{User{Name: "bob", Groups: []string{"x", "team"}}, true},
		{account("dev", "robot"), true},
		{account("away", "visitor"), true},
		{account("farm", "any"), true},
		{User{Name: "team"}, false},
		{User{Name: "bob", Groups: []string{"ann"}}, false},
		{User{Name: "robot"}, false},
		{account("away", "robot"), false},
		{account("dev", "visitor"), false},
		{User{}, false},
		{User{Groups: []string{"system:unauthenticated"}}, false},
	} {
		if got, _ := p.Authorize(c.user, parse("get pods dev/x")); got != c.may {
			t.Errorf("%v is allowed: %v", c.user, got)
		}
	}
}

// The groups of superusers may do everything, without a single object.
func TestSuperusers(t *testing.T) {
	p, _ := New(plantest.New(t).Store.View())
	for _, group := range []string{"system:masters", "skerry:admins"} {
		check(t, p, User{Name: "root", Groups: []string{group}}, "delete nodes\n* *.* dev\npost /x", "")
		if missing, err := p.Covers(User{Groups: []string{group}}, "", Everything()); err != nil || len(missing) > 0 {
			t.Errorf("%s lacks %v, %v", group, missing, err)
		}
	}
	check(t, p, User{Name: "system:masters", Groups: []string{"skerry:admin", "system:authenticated"}}, "", "get pods dev")
}

// What can't be read grants nothing, and is named.
func TestUnreadable(t *testing.T) {
	w := plantest.New(t)
	w.Commit(change.Change{Key: resource.ClusterRoles.Key("", "broken"), Base: change.Any, Value: []byte{0xff}})
	if _, problems := New(w.Store.View()); len(problems) != 1 || !strings.Contains(problems[0].Error(), "broken") {
		t.Errorf("problems: %v", problems)
	}
}

// randomRules are rules of few words, so that many cover each other.
func randomRules(r *rand.Rand) []rbacv1.PolicyRule {
	pick := func(words ...string) []string {
		var out []string
		for range 1 + r.IntN(2) {
			out = append(out, words[r.IntN(len(words))])
		}
		return out
	}
	var rules []rbacv1.PolicyRule
	for range 1 + r.IntN(3) {
		if r.IntN(4) == 0 {
			rules = append(rules, rbacv1.PolicyRule{Verbs: pick("get", "post", "*"), NonResourceURLs: pick("/a", "/a/*", "/a/b", "*")})
			continue
		}
		rule := rbacv1.PolicyRule{Verbs: pick("get", "list", "*"), APIGroups: pick("", "apps", "*"), Resources: pick("pods", "pods/log", "*/log", "*")}
		if r.IntN(3) == 0 {
			rule.ResourceNames = pick("x", "y")
		}
		rules = append(rules, rule)
	}
	return rules
}

// Covers agrees with Kubernetes' own.
func TestCoversAsKubernetesDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	agreed := map[bool]int{}
	for range 3000 {
		held, wanted := randomRules(r), randomRules(r)
		p := &Policy{cluster: grants{userKey("u"): {{role: newRole(held)}}}}
		missing, err := p.Covers(User{Name: "u"}, "", wanted)
		if err != nil {
			t.Fatal(err)
		}
		covers, uncovered := validation.Covers(held, wanted)
		if (len(missing) == 0) != covers {
			t.Fatalf("held %v, wanted %v: missing %v, Kubernetes says %v", held, wanted, missing, uncovered)
		}
		agreed[covers]++
		// Who holds the rights may also do what they say.
		for _, want := range wanted {
			for _, a := range attributesOf(want) {
				if allowed, _ := p.Authorize(User{Name: "u"}, a); covers && !allowed {
					t.Fatalf("held %v covers %v, and does not allow %+v", held, wanted, a)
				}
			}
		}
	}
	if agreed[true] < 100 || agreed[false] < 100 {
		t.Errorf("the cases say too little: %v", agreed)
	}
}

// attributesOf are requests that a rule allows.
func attributesOf(rule rbacv1.PolicyRule) (all []Attributes) {
	plain := strings.NewReplacer("*", "other").Replace
	each(&rule, func(r rbacv1.PolicyRule) {
		a := Attributes{Verb: plain(r.Verbs[0])}
		if len(r.NonResourceURLs) > 0 {
			a.Path = plain(r.NonResourceURLs[0])
		} else {
			a.Group = plain(r.APIGroups[0])
			a.Resource, a.Subresource, _ = strings.Cut(plain(r.Resources[0]), "/")
		}
		if len(r.ResourceNames) > 0 {
			a.Name = r.ResourceNames[0]
		}
		all = append(all, a)
	})
	return all
}

// What is missing is told in Kubernetes' words, the verbs of one thing together.
func TestMissingRights(t *testing.T) {
	p := &Policy{cluster: grants{userKey("u"): {{role: newRole([]rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}})}}}}
	missing, err := p.Covers(User{Name: "u"}, "", []rbacv1.PolicyRule{
		{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"pods", "secrets"}, ResourceNames: []string{"x"}},
		{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range missing {
		lines = append(lines, Describe(m))
	}
	want := []string{
		`{APIGroups:[""], Resources:["pods"], ResourceNames:["x"], Verbs:["list" "watch"]}`,
		`{APIGroups:[""], Resources:["secrets"], ResourceNames:["x"], Verbs:["get" "list" "watch"]}`,
		`{NonResourceURLs:["/metrics"], Verbs:["get"]}`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

// Rules whose single rights are too many are refused before they are taken apart, unless they are held as a whole.
func TestTooManyRights(t *testing.T) {
	words := make([]string, 1000)
	for i := range words {
		words[i] = fmt.Sprint("w", i)
	}
	huge := []rbacv1.PolicyRule{{Verbs: words, APIGroups: words, Resources: words, ResourceNames: words}}
	p := &Policy{cluster: grants{userKey("u"): {{role: newRole(huge)}}}}
	if missing, err := p.Covers(User{Name: "u"}, "", huge); err != nil || len(missing) > 0 {
		t.Errorf("missing %d, %v", len(missing), err)
	}
	if _, err := p.Covers(User{Name: "v"}, "", huge); err == nil || !strings.Contains(err.Error(), "too many to compare") {
		t.Errorf("it says %v", err)
	}
	paths := []rbacv1.PolicyRule{{Verbs: words, NonResourceURLs: words}}
	if _, err := p.Covers(User{Name: "v"}, "", paths); err == nil {
		t.Error("a million rights to paths are compared")
	}
}
