package resource

import (
	"fmt"
	"reflect"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// AnnotationScheduled marks a pod that the scheduler has bound ("true"). A bound pod without it was bound by
// its creator: it belongs to that node and is never moved to another.
const AnnotationScheduled = shared.AnnotationScheduled

// Meta decodes only the metadata of an encoded object, at a fraction of the cost of Decode.
func Meta(value []byte) (metav1.ObjectMeta, error) {
	var meta metav1.ObjectMeta
	// Metadata is field 1 of every kind of k8s.io/api, and encoders write fields in order.
	number, kind, n := protowire.ConsumeTag(value)
	if n < 0 || number != 1 || kind != protowire.BytesType {
		return meta, fmt.Errorf("decode metadata: the object does not begin with it")
	}
	inner, n := protowire.ConsumeBytes(value[n:])
	if n < 0 {
		return meta, fmt.Errorf("decode metadata: %w", protowire.ParseError(n))
	}
	if err := meta.Unmarshal(inner); err != nil {
		return meta, fmt.Errorf("decode metadata: %w", err)
	}
	return meta, nil
}

// Ended reports whether a pod has run to its end, well or not.
func Ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// PodCondition is a condition of a pod, in place, or nil.
func PodCondition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// SetPodCondition puts a condition into a pod. The time of the last transition stays when the status does.
func SetPodCondition(pod *corev1.Pod, c corev1.PodCondition) {
	old := PodCondition(pod, c.Type)
	if old == nil {
		pod.Status.Conditions = append(pod.Status.Conditions, c)
		return
	}
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	*old = c
}

// NodeCondition is a condition of a node, in place, or nil.
func NodeCondition(node *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}

// Tolerates reports whether a toleration bears a taint (k8s.io/api, Toleration.ToleratesTaint, without the
// numeric operators that are an alpha feature there).
func Tolerates(t *corev1.Toleration, taint *corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
		return false
	}
	switch t.Operator {
	case "", corev1.TolerationOpEqual:
		return t.Value == taint.Value
	case corev1.TolerationOpExists:
		return true
	}
	return false
}

// Untolerated is the first taint with one of the effects that no toleration bears, or nil.
func Untolerated(tolerations []corev1.Toleration, taints []corev1.Taint, effects ...corev1.TaintEffect) *corev1.Taint {
	for i := range taints {
		for _, effect := range effects {
			if taints[i].Effect == effect && !tolerated(tolerations, &taints[i]) {
				return &taints[i]
			}
		}
	}
	return nil
}

func tolerated(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range tolerations {
		if Tolerates(&tolerations[i], taint) {
			return true
		}
	}
	return false
}

var (
	podNodeName = wirePath(reflect.TypeFor[corev1.Pod](), "spec.nodeName")
	podPhase    = wirePath(reflect.TypeFor[corev1.Pod](), "status.phase")
	podUID      = wirePath(reflect.TypeFor[corev1.Pod](), "metadata.uid")
)

// PodNodeName is the node that an encoded pod is bound to, read without decoding the pod.
func PodNodeName(value []byte) string { return wireText(value, podNodeName) }

// PodPhase is the phase of an encoded pod, read likewise.
func PodPhase(value []byte) corev1.PodPhase { return corev1.PodPhase(wireText(value, podPhase)) }

// PodUID is the uid of an encoded pod, read likewise.
func PodUID(value []byte) types.UID { return types.UID(wireText(value, podUID)) }
