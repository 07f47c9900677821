package apiserver

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

func eviction(version, name, options string) string {
	return fmt.Sprintf(`{"apiVersion": %q, "kind": "Eviction", "metadata": {"name": %q}, "deleteOptions": {%s}}`, version, name, options)
}

// An eviction of either version ends a pod with its grace, and says in its condition why.
func TestEviction(t *testing.T) {
	for _, version := range []string{"policy/v1", "policy/v1beta1"} {
		a := newAPI(t)
		a.put(resource.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
		a.put(resource.Pods, pod("p", func(p *corev1.Pod) {
			p.UID, p.Spec.NodeName = "u", "n"
			p.Spec.TerminationGracePeriodSeconds = new(int64(30))
		}))
		dry := a.post(podsPath+"/p/eviction", eviction(version, "p", `"dryRun": ["All"]`))
		if dry.code != 201 || a.get(podsPath+"/p").pod(200).DeletionTimestamp != nil {
			t.Errorf("%s: a dry run answered %d and changed the pod, or not: %s", version, dry.code, dry.body)
		}
		var status metav1.Status
		a.post(podsPath+"/p/eviction", eviction(version, "p", "")).into(201, &status)
		p := a.get(podsPath + "/p").pod(200)
		if status.Status != metav1.StatusSuccess || p.DeletionTimestamp == nil || *p.DeletionGracePeriodSeconds != 30 {
			t.Errorf("%s: answered %v, the pod is %v", version, status, p.ObjectMeta)
		}
		if len(p.Status.Conditions) != 1 || p.Status.Conditions[0].Type != corev1.DisruptionTarget {
			t.Errorf("%s: the conditions are %v", version, p.Status.Conditions)
		}
	}
}

// What is wrong with an eviction is said in Kubernetes' words, and evicts nothing.
func TestEvictionRefused(t *testing.T) {
	a := newAPI(t)
	a.put(resource.Pods, pod("p", func(p *corev1.Pod) { p.UID = "u" }))
	a.post(podsPath+"/x/eviction", eviction("policy/v1", "x", "")).fails(404, metav1.StatusReasonNotFound, `pods "x" not found`)
	a.post(podsPath+"/p/eviction", eviction("policy/v1", "x", "")).fails(400, metav1.StatusReasonBadRequest, "does not match the name on the URL")
	a.post(podsPath+"/p/eviction", eviction("v1", "p", "")).fails(400, metav1.StatusReasonBadRequest, "does not match the expected API version (policy/v1)")
	a.post(podsPath+"/p/eviction", eviction("policy/v1", "p", `"preconditions": {"uid": "other"}`)).fails(409, metav1.StatusReasonConflict, "UID in precondition")
	a.get(podsPath+"/p/eviction").fails(405, metav1.StatusReasonMethodNotAllowed, "")
	viewer := a.do(ask{method: "POST", path: podsPath + "/p/eviction", body: eviction("policy/v1", "p", ""), groups: []string{GroupViewers}})
	viewer.fails(403, metav1.StatusReasonForbidden, `cannot create resource "pods/eviction"`)
	if p := a.get(podsPath + "/p").pod(200); p.DeletionTimestamp != nil || len(p.Status.Conditions) != 0 {
		t.Errorf("the pod is %v", p)
	}
}
