package apiserver

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/stream"
)

// noNodes is a Streams whose nodes are all away.
type noNodes struct{}

func (noNodes) Open(context.Context, string, stream.Open) (stream.Conn, error) {
	return nil, &stream.Error{Text: "the node is not connected"}
}

// What can't be a session is answered in Kubernetes' words before the connection is taken over; only admins may
// have one.
func TestSessionsThatCannotBegin(t *testing.T) {
	a := newAPI(t, func(c *Config) { c.Streams = noNodes{} })
	pod := func(name, node string, phase corev1.PodPhase) {
		a.put(resource.Pods, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: resource.DeriveUID(name)},
			Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "a"}}},
			Status:     corev1.PodStatus{Phase: phase},
		})
	}
	pod("runs", "node-1", corev1.PodRunning)
	pod("waits", "", corev1.PodPending)
	pod("ended", "node-1", corev1.PodSucceeded)
	for _, test := range []struct {
		path, group string
		code        int32
		reason      metav1.StatusReason
		words       string
	}{
		{"/runs/exec?command=ls&stdout=1", GroupViewers, 403, metav1.StatusReasonForbidden, `cannot get resource "pods/exec"`},
		{"/runs/portforward", GroupViewers, 403, metav1.StatusReasonForbidden, `cannot get resource "pods/portforward"`},
		{"/nobody/exec?command=ls&stdout=1", GroupAdmins, 404, metav1.StatusReasonNotFound, `pods "nobody" not found`},
		{"/waits/exec?command=ls&stdout=1", GroupAdmins, 400, metav1.StatusReasonBadRequest, "pod waits does not have a host assigned"},
		{"/ended/exec?command=ls&stdout=1", GroupAdmins, 400, metav1.StatusReasonBadRequest, "completed pod; current phase is Succeeded"},
		{"/runs/exec?command=ls&stdout=1&container=b", GroupAdmins, 400, metav1.StatusReasonBadRequest, "container b is not valid for pod runs"},
		{"/runs/exec?stdout=1", GroupAdmins, 400, metav1.StatusReasonBadRequest, "you must specify at least one command for the container"},
		{"/runs/exec?command=ls", GroupAdmins, 400, metav1.StatusReasonBadRequest, "you must specify at least 1 of stdin, stdout, stderr"},
		{"/runs/exec?command=ls&stdout=maybe", GroupAdmins, 400, metav1.StatusReasonBadRequest, `stdout: "maybe"`},
		{"/runs/attach?stdin=1", GroupAdmins, 400, metav1.StatusReasonBadRequest, "no stdin to attach to"},
		{"/runs/exec?command=ls&stdout=1", GroupAdmins, 503, metav1.StatusReasonServiceUnavailable, "node node-1 does not answer"},
		{"/runs/portforward", GroupAdmins, 400, metav1.StatusReasonBadRequest, "Upgrade request required"},
	} {
		a.do(ask{method: "GET", path: podsPath + test.path, groups: []string{test.group}}).fails(int(test.code), test.reason, test.words)
	}
}
