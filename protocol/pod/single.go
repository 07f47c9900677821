package pod

import corev1 "k8s.io/api/core/v1"

// PartitionPolicy is the annotation of a pod that says what happens when its node is cut off: with PolicyKeep, the
// default, it goes on there while it is replaced elsewhere; with PolicyStop it ends there before it is replaced.
const (
	PartitionPolicy = "skerry.dev/partition-policy"
	PolicyKeep      = "keep"
	PolicyStop      = "stop"
)

// AnnotationScheduled marks a pod that the scheduler has bound ("true"). A bound pod without it was bound by
// its creator.
const AnnotationScheduled = "skerry.dev/scheduled"

// Single reports whether at most one pod of this one's slot may run at any time.
func Single(p *corev1.Pod) bool { return p.Annotations[PartitionPolicy] == PolicyStop }

// Pinned reports whether the pod can run on its node alone: its creator has bound it there, or it selects the node
// by its host name.
func Pinned(p *corev1.Pod) bool {
	return p.Spec.NodeName != "" &&
		(p.Annotations[AnnotationScheduled] != "true" || p.Spec.NodeSelector[corev1.LabelHostname] == p.Spec.NodeName)
}
