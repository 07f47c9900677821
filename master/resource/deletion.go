package resource

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
)

// Deletion is what a kind adds to how the API deletes its objects. Without one an object goes at once, unless
// metadata.finalizers hold it.
type Deletion struct {
	// Grace is how many seconds the object stays after a client has asked for its deletion; requested is the
	// client's wish, nil for none. exists tells whether an object is there.
	Grace func(o Object, requested *int64, exists func(change.Key) bool) int64
	// Held reports whether something besides metadata.finalizers keeps the object.
	Held func(Object) bool
	// Begin shows in the object that its deletion has begun.
	Begin func(Object)
}

// podDeletion gives a pod that has been bound to a node the time to end; the node's agent reports when nothing
// is left of it. A pod that no agent knows of, or that has ended, goes at once (Kubernetes:
// pkg/registry/core/pod/strategy.go, CheckGracefulDelete).
var podDeletion = &Deletion{
	Grace: func(o Object, requested *int64, exists func(change.Key) bool) int64 {
		pod := o.(*corev1.Pod)
		switch {
		case pod.Spec.NodeName == "", !exists(Nodes.Key("", pod.Spec.NodeName)):
			return 0
		case pod.Status.Phase == corev1.PodSucceeded, pod.Status.Phase == corev1.PodFailed:
			return 0
		case requested != nil && *requested < 0:
			return 1 // as Kubernetes reads it
		case requested != nil:
			return *requested
		case pod.Spec.TerminationGracePeriodSeconds != nil:
			return max(*pod.Spec.TerminationGracePeriodSeconds, 1)
		}
		return corev1.DefaultTerminationGracePeriodSeconds
	},
}

// namespaceDeletion keeps a namespace, shown as Terminating, until a controller has emptied it.
var namespaceDeletion = &Deletion{
	Held: func(o Object) bool { return len(o.(*corev1.Namespace).Spec.Finalizers) > 0 },
	Begin: func(o Object) {
		o.(*corev1.Namespace).Status.Phase = corev1.NamespaceTerminating
	},
}
