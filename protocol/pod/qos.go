package pod

import corev1 "k8s.io/api/core/v1"

// QOS is the pod's quality of service class, by the rules of the kubelet (component-helpers, pod/qos): only
// cpu and memory count.
func QOS(spec *corev1.PodSpec) corev1.PodQOSClass {
	any, guaranteed := false, true
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				request, requested := list[i].Resources.Requests[name]
				limit, limited := list[i].Resources.Limits[name]
				requested, limited = requested && !request.IsZero(), limited && !limit.IsZero()
				any = any || requested || limited
				if !limited || requested && request.Cmp(limit) != 0 {
					guaranteed = false
				}
			}
		}
	}
	switch {
	case !any:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}
