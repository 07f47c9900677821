package resource

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// QOSClass is a pod's class of service, by Kubernetes' rules: Guaranteed when every container has limits of cpu
// and memory and its requests equal them, BestEffort when none says anything, Burstable otherwise.
func QOSClass(s *corev1.PodSpec) corev1.PodQOSClass {
	guaranteed, says := true, false
	for _, c := range slices.Concat(s.InitContainers, s.Containers) {
		r := &c.Resources
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			limit, request := r.Limits[name], r.Requests[name]
			if !limit.IsZero() || !request.IsZero() {
				says = true
			}
			if limit.IsZero() || !request.IsZero() && request.Cmp(limit) != 0 {
				guaranteed = false
			}
		}
	}
	switch {
	case !says:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	default:
		return corev1.PodQOSBurstable
	}
}
