package apiserver

import (
	"fmt"
	"slices"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const accessPath = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

// What a review says that a user may do is what the server lets them do.
func TestCanI(t *testing.T) {
	a := newAPI(t)
	for _, c := range []struct {
		group, spec string
		allowed     bool
	}{
		{GroupAdmins, `"resourceAttributes": {"verb": "delete", "resource": "nodes"}`, true},
		{GroupAdmins, `"resourceAttributes": {"verb": "*", "resource": "*", "group": "*"}`, true},
		{GroupAdmins, `"nonResourceAttributes": {"verb": "post", "path": "/x"}`, true},
		{GroupViewers, `"resourceAttributes": {"verb": "list", "resource": "pods"}`, true},
		{GroupViewers, `"resourceAttributes": {"verb": "get", "resource": "pods", "subresource": "log"}`, true},
		{GroupViewers, `"resourceAttributes": {"verb": "get", "resource": "pods", "subresource": "exec"}`, false},
		{GroupViewers, `"resourceAttributes": {"verb": "get", "resource": "secrets"}`, false},
		{GroupViewers, `"resourceAttributes": {"verb": "get", "resource": "*"}`, false},
		{GroupViewers, `"resourceAttributes": {"verb": "*", "resource": "pods"}`, false},
		{GroupViewers, `"resourceAttributes": {"verb": "create", "resource": "pods"}`, false},
		{GroupViewers, `"nonResourceAttributes": {"verb": "get", "path": "/openapi/v2"}`, true},
		{"nobody", `"resourceAttributes": {"verb": "get", "resource": "pods"}`, false},
		{"nobody", `"resourceAttributes": {"verb": "create", "group": "authorization.k8s.io", "resource": "selfsubjectaccessreviews"}`, true},
	} {
		var review authorizationv1.SelfSubjectAccessReview
		a.do(ask{method: "POST", path: accessPath, body: fmt.Sprintf(`{"spec": {%s}}`, c.spec), groups: []string{c.group}}).into(201, &review)
		if review.Status.Allowed != c.allowed || !c.allowed && review.Status.Reason != "" {
			t.Errorf("%s, %s: %v", c.group, c.spec, review.Status)
		}
	}
	a.post(accessPath, `{"spec": {}}`).fails(422, metav1.StatusReasonInvalid, "exactly one of nonResourceAttributes or resourceAttributes must be specified")
	a.get(accessPath).fails(405, metav1.StatusReasonMethodNotAllowed, "")
}

// A user learns who they are, and all that they may do.
func TestWhoAmI(t *testing.T) {
	a := newAPI(t)
	var who authenticationv1.SelfSubjectReview
	a.do(ask{method: "POST", path: "/apis/authentication.k8s.io/v1/selfsubjectreviews", body: `{}`, groups: []string{GroupViewers}}).into(201, &who)
	if who.Status.UserInfo.Username != "somebody" || !slices.Contains(who.Status.UserInfo.Groups, GroupViewers) {
		t.Errorf("it is %v", who.Status)
	}
	const rulesPath = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
	for group, may := range map[string]bool{GroupAdmins: true, GroupViewers: false} {
		var rules authorizationv1.SelfSubjectRulesReview
		a.do(ask{method: "POST", path: rulesPath, body: `{"spec": {"namespace": "default"}}`, groups: []string{group}}).into(201, &rules)
		all := false
		for _, rule := range rules.Status.ResourceRules {
			all = all || slices.Contains(rule.Verbs, "*")
			if slices.Contains(rule.Resources, "secrets") {
				t.Errorf("%s may read secrets", group)
			}
		}
		if all != may || len(rules.Status.ResourceRules) == 0 {
			t.Errorf("%s may do %v", group, rules.Status.ResourceRules)
		}
	}
	a.post(rulesPath, `{"spec": {}}`).fails(400, metav1.StatusReasonBadRequest, "no namespace on request")
}
