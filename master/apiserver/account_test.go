package apiserver

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

// A pod may name an account that exists; the default one need not exist yet. Tokens, which nothing puts into pods, are
// refused where they are asked for, and warned of where an account would only allow them.
func TestPodsNameAnAccount(t *testing.T) {
	a := newAPI(t)
	named := func(name, account string) *corev1.Pod {
		return pod(name, func(p *corev1.Pod) { p.Spec.ServiceAccountName = account })
	}
	a.post(podsPath, named("a", "default")).pod(201)
	a.post(podsPath, named("b", "robot")).fails(403, metav1.StatusReasonForbidden,
		`pods "b" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found`)
	a.post(podsPath, named("b", "Not a name")).fails(403, metav1.StatusReasonForbidden, "not found")
	a.put(resource.ServiceAccounts, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "robot"}})
	a.post(podsPath, named("b", "robot")).fails(403, metav1.StatusReasonForbidden, "not found")
	const accounts = "/api/v1/namespaces/default/serviceaccounts"
	r := a.post(accounts, `{"metadata": {"name": "robot"}, "automountServiceAccountToken": true}`)
	if r.into(201, &corev1.ServiceAccount{}); r.header.Get("Warning") == "" {
		t.Error("nothing warns that no token is put into pods")
	}
	if p := a.post(podsPath, named("b", "robot")).pod(201); p.Spec.DeprecatedServiceAccount != "robot" {
		t.Errorf("serviceAccount is %q", p.Spec.DeprecatedServiceAccount)
	}
	yes := true
	a.post(podsPath, pod("c", func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = &yes })).
		fails(422, metav1.StatusReasonInvalid, "spec.automountServiceAccountToken: Forbidden: not supported by skerry")
	a.post(accounts, `{"metadata": {"name": "x"}, "imagePullSecrets": [{"name": "s"}]}`).
		fails(422, metav1.StatusReasonInvalid, "imagePullSecrets: Forbidden: not supported by skerry")
}
