package apiserver

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Of what kubectl asks for without a look at discovery there is nothing, rather than an error; nothing else is made up.
func TestKindsOfWhichThereAreNone(t *testing.T) {
	a := newAPI(t)
	for path, kind := range map[string]string{
		"/apis/apiextensions.k8s.io/v1/customresourcedefinitions": "CustomResourceDefinitionList",
		"/api/v1/namespaces/default/replicationcontrollers":       "ReplicationControllerList",
		"/apis/apps/v1/namespaces/default/daemonsets":             "DaemonSetList",
	} {
		list := &metav1.PartialObjectMetadataList{}
		a.get(path).into(200, list)
		if list.Kind != kind || list.Items == nil || len(list.Items) != 0 {
			t.Errorf("%s: %+v", path, list)
		}
		a.post(path, "{}").fails(404, metav1.StatusReasonNotFound, "")
	}
	for _, path := range []string{
		"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x", "/api/v1/namespaces/default/replicationcontrollers/x",
		"/api/v1/namespaces//replicationcontrollers", "/api/v1/namespaces/a/b/replicationcontrollers", "/apis/apps/v1/daemonsets",
	} {
		a.get(path).fails(404, metav1.StatusReasonNotFound, "could not find the requested resource")
	}
}

// Where kubectl's own words would not tell what is missing, a warning does.
func TestAutoscalingIsExplained(t *testing.T) {
	a := newAPI(t)
	for _, version := range []string{"v1", "v2"} {
		r := a.post("/apis/autoscaling/"+version+"/namespaces/default/horizontalpodautoscalers", "{}")
		r.fails(404, metav1.StatusReasonNotFound, "could not find the requested resource")
		if warning := r.header.Get("Warning"); !strings.Contains(warning, "no autoscaler") {
			t.Errorf("%s: the warning is %q", version, warning)
		}
	}
}
