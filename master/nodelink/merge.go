package nodelink

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/skerry-edge/skerry/master/resource"
)

// agentLabels is the annotation of a node that names the labels its agent set, so that those which the agent no
// longer reports are removed, and those of users are not.
const agentLabels = "skerry.dev/agent-labels"

// Conditions that the master writes. An agent that reports them is not believed.
var (
	mastersNodeConditions = []corev1.NodeConditionType{
		corev1.NodeReady, resource.ConditionSuspect, resource.ConditionEvictionPaused, resource.ConditionFlapping,
	}
	mastersPodConditions = []corev1.PodConditionType{corev1.PodScheduled, corev1.DisruptionTarget}
)

// mergePod puts what the node reports into the pod's status. It reports false when nothing of it counts: a pod
// that has ended stays ended.
func mergePod(pod *corev1.Pod, reported *corev1.PodStatus) bool {
	old := pod.Status
	if resource.Ended(pod) && reported.Phase != old.Phase {
		return false
	}
	pod.Status = *reported
	pod.Status.Conditions = slices.DeleteFunc(slices.Clone(reported.Conditions), func(c corev1.PodCondition) bool {
		return slices.Contains(mastersPodConditions, c.Type)
	})
	for _, c := range old.Conditions {
		if resource.PodCondition(pod, c.Type) == nil {
			pod.Status.Conditions = append(pod.Status.Conditions, c)
		}
	}
	if pod.Status.QOSClass == "" {
		pod.Status.QOSClass = old.QOSClass
	}
	if pod.Status.Reason == "" && reported.Phase == old.Phase {
		pod.Status.Reason, pod.Status.Message = old.Reason, old.Message
	}
	return true
}

// mergeNode puts what the agent reports into the node's object: status and labels.
func mergeNode(node, reported *corev1.Node) {
	old := node.Status
	node.Status = reported.Status
	node.Status.Conditions = slices.DeleteFunc(slices.Clone(reported.Status.Conditions), func(c corev1.NodeCondition) bool {
		return slices.Contains(mastersNodeConditions, c.Type)
	})
	for _, c := range old.Conditions {
		if resource.NodeCondition(node, c.Type) == nil {
			node.Status.Conditions = append(node.Status.Conditions, c)
		}
	}
	mergeLabels(node, reported.Labels)
}

// maxAgentLabels bounds how many labels an agent may report; it has a few of its own, and those of its flag.
const maxAgentLabels = 64

// agentMay reports whether an agent may set a label. One under node-restriction.kubernetes.io is for administrators
// alone, as in Kubernetes, so that nodes can't draw pods to themselves that select it; one that is no label would keep
// everybody from changing the Node.
func agentMay(key, value string) bool {
	domain, _, _ := strings.Cut(key, "/")
	restricted := domain == restrictedDomain || strings.HasSuffix(domain, "."+restrictedDomain)
	return !restricted && len(validation.IsQualifiedName(key)) == 0 && len(validation.IsValidLabelValue(value)) == 0
}

const restrictedDomain = "node-restriction.kubernetes.io"

// mergeLabels sets the labels that the agent reports and removes those that it set before and reports no more. A
// label that is there and was not set by the agent is a user's, and stays.
func mergeLabels(node *corev1.Node, reported map[string]string) {
	before := strings.FieldsFunc(node.Annotations[agentLabels], func(r rune) bool { return r == ',' })
	for _, key := range before {
		if value, still := reported[key]; !still || !agentMay(key, value) {
			delete(node.Labels, key)
		}
	}
	var own []string
	for _, key := range slices.Sorted(maps.Keys(reported)) {
		if len(own) == maxAgentLabels {
			break
		}
		if !agentMay(key, reported[key]) {
			continue
		}
		if _, exists := node.Labels[key]; exists && !slices.Contains(before, key) {
			continue
		}
		if node.Labels == nil {
			node.Labels = map[string]string{}
		}
		node.Labels[key] = reported[key]
		own = append(own, key)
	}
	if len(own) == 0 {
		delete(node.Annotations, agentLabels)
		return
	}
	if node.Annotations == nil {
		node.Annotations = map[string]string{}
	}
	node.Annotations[agentLabels] = strings.Join(own, ",")
}
