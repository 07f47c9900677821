package plantest

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

// Agents does at once what the agents of all nodes would do in time: a pod that is to end goes, any other that
// has a node runs. Pods that skip names stay as they are. It returns how many pods changed.
func (w *World) Agents(skip func(*corev1.Pod) bool) (changed int) {
	w.T.Helper()
	for _, p := range List[*corev1.Pod](w, resource.Pods) {
		switch {
		case p.Spec.NodeName == "" || skip != nil && skip(p):
		case p.DeletionTimestamp != nil:
			w.Delete(resource.Pods, p.Namespace, p.Name)
			changed++
		case p.Status.Phase == corev1.PodPending:
			w.Put(Running(p, metav1.NewTime(w.Now.Wall)))
			changed++
		}
	}
	return changed
}

// Bind gives every pod that has no node this one: in a world without a scheduler.
func (w *World) Bind(node string) {
	w.T.Helper()
	for _, p := range List[*corev1.Pod](w, resource.Pods) {
		if p.Spec.NodeName == "" {
			p.Spec.NodeName = node
			w.Put(p)
		}
	}
}
