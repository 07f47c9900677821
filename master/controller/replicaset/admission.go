package replicaset

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// reasonFailed is that of the Event and of the condition ReplicaFailure (pkg/controller/replicaset).
const reasonFailed = "FailedCreate"

// home is the namespace of a set: the record, which must be the same when a pod is created in it, and the object.
// A namespace that is not there lets in what any lets in.
func (s *sync) home() (change.Record, *corev1.Namespace) {
	rec, _ := s.view.Get(resource.Namespaces.Key("", s.rs.Namespace))
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.rs.Namespace}}
	if rec.Exists() && object.Unmarshal(rec.Value) != nil {
		return rec, &corev1.Namespace{}
	}
	return rec, object
}

// forbidden says why the namespace does not let in the pods that the template asks for; empty when it does.
func (s *sync) forbidden(namespace *corev1.Namespace) string {
	t := &s.rs.Spec.Template
	why := resource.PodForbidden(namespace, &corev1.Pod{ObjectMeta: t.ObjectMeta, Spec: t.Spec})
	if why == "" {
		why = resource.NoAccount(s.view, s.rs.Namespace, &t.Spec)
	}
	if why == "" {
		return ""
	}
	return fmt.Sprintf("pods %q is forbidden: %s", s.rs.Name+"-", why)
}

// fail tells of pods that can't be created, once for each reason. The condition, which a Deployment shows too, stays
// until they can.
func (s *sync) fail(why string) {
	if c := s.failure(); c != nil && c.Message == why {
		return
	}
	s.problem = &appsv1.ReplicaSetCondition{
		Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: reasonFailed, Message: why,
		LastTransitionTime: s.stamp(),
	}
	o := s.occurrence(reasonFailed, "Error creating: "+why)
	o.Type = corev1.EventTypeWarning
	s.open().Record(o)
	s.close()
}

func (s *sync) failure() *appsv1.ReplicaSetCondition {
	for i := range s.rs.Status.Conditions {
		if c := &s.rs.Status.Conditions[i]; c.Type == appsv1.ReplicaSetReplicaFailure {
			return c
		}
	}
	return nil
}

// conditions are those of the set after the plan.
func (s *sync) conditions(failed bool) []appsv1.ReplicaSetCondition {
	var out []appsv1.ReplicaSetCondition
	for _, c := range s.rs.Status.Conditions {
		if c.Type != appsv1.ReplicaSetReplicaFailure || failed && s.problem == nil {
			out = append(out, c)
		}
	}
	if s.problem != nil {
		out = append(out, *s.problem)
	}
	return out
}
