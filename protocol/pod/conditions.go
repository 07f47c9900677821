package pod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions returns the pod's conditions for a status whose phase and container statuses are set. before
// holds those last reported: a condition that has not changed keeps its transition time, and one that is not
// the agent's, as PodScheduled, is kept as it is.
func Conditions(spec *corev1.PodSpec, status *corev1.PodStatus, before []corev1.PodCondition, now metav1.Time) []corev1.PodCondition {
	completed := status.Phase == corev1.PodSucceeded
	own := []corev1.PodCondition{
		condition(corev1.PodInitialized, unfinished(spec, status), completed, "ContainersNotInitialized", "containers with incomplete status"),
		condition(corev1.PodReady, unready(spec, status), false, "ContainersNotReady", "containers with unready status"),
		condition(corev1.ContainersReady, unready(spec, status), false, "ContainersNotReady", "containers with unready status"),
	}
	for i := range own {
		c := &own[i]
		switch {
		case completed:
			c.Reason, c.Message = "PodCompleted", ""
		case status.Phase == corev1.PodFailed && c.Type != corev1.PodInitialized:
			c.Status, c.Reason, c.Message = corev1.ConditionFalse, "PodFailed", ""
		}
		c.LastTransitionTime = now
	}
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: now}
	out := append(own, scheduled)
	for _, old := range before {
		known := false
		for i := range out {
			if out[i].Type != old.Type {
				continue
			}
			known = true
			if out[i].Status == old.Status {
				out[i].LastTransitionTime = old.LastTransitionTime
			}
		}
		if !known {
			out = append(out, old)
		}
	}
	return out
}

func condition(kind corev1.PodConditionType, missing []string, completed bool, reason, text string) corev1.PodCondition {
	if len(missing) == 0 || completed {
		return corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue}
	}
	return corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: fmt.Sprintf("%s: %v", text, missing)}
}

// unfinished are the init containers that have not done their part.
func unfinished(spec *corev1.PodSpec, status *corev1.PodStatus) []string {
	var out []string
	for i := range spec.InitContainers {
		if s, _ := find(status.InitContainerStatuses, spec.InitContainers[i].Name); !s.Ready {
			out = append(out, spec.InitContainers[i].Name)
		}
	}
	return out
}

// unready are the containers that should run and don't.
func unready(spec *corev1.PodSpec, status *corev1.PodStatus) []string {
	var out []string
	for i := range spec.InitContainers {
		if s, _ := find(status.InitContainerStatuses, spec.InitContainers[i].Name); Sidecar(&spec.InitContainers[i]) && !s.Ready {
			out = append(out, spec.InitContainers[i].Name)
		}
	}
	for i := range spec.Containers {
		if s, _ := find(status.ContainerStatuses, spec.Containers[i].Name); !s.Ready {
			out = append(out, spec.Containers[i].Name)
		}
	}
	return out
}
