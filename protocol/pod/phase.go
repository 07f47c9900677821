package pod

import corev1 "k8s.io/api/core/v1"

// Phase is the pod's phase as its containers' statuses say it, by the rules of the kubelet (getPhase).
func Phase(spec *corev1.PodSpec, init, regular []corev1.ContainerStatus) corev1.PodPhase {
	pending := 0
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		status, known := find(init, c.Name)
		ended, code := hasEnded(status)
		switch {
		case !known:
			pending++
		case Sidecar(c):
			if status.State.Running == nil && !ended {
				pending++
			}
		case ended && code != 0:
			if spec.RestartPolicy == corev1.RestartPolicyNever {
				return corev1.PodFailed
			}
			pending++
		case !ended:
			pending++
		}
	}
	var running, waiting, stopped, succeeded, unknown int
	for i := range spec.Containers {
		status, known := find(regular, spec.Containers[i].Name)
		ended, code := hasEnded(status)
		switch {
		case !known:
			unknown++
		case status.State.Running != nil:
			running++
		case ended:
			stopped++
			if code == 0 {
				succeeded++
			}
		default:
			waiting++
		}
	}
	switch {
	case waiting > 0 || unknown > 0 || running+stopped == 0:
		return corev1.PodPending
	case pending > 0 && running == 0 && stopped == 0:
		return corev1.PodPending
	case running > 0 || spec.RestartPolicy == corev1.RestartPolicyAlways || spec.RestartPolicy == "":
		return corev1.PodRunning
	case anyRunning(init):
		return corev1.PodRunning // sidecars are on their way out
	case stopped == succeeded:
		return corev1.PodSucceeded
	case spec.RestartPolicy == corev1.RestartPolicyNever:
		return corev1.PodFailed
	}
	return corev1.PodRunning
}

func find(statuses []corev1.ContainerStatus, name string) (corev1.ContainerStatus, bool) {
	for _, s := range statuses {
		if s.Name == name {
			return s, true
		}
	}
	return corev1.ContainerStatus{}, false
}

// hasEnded reports whether a container has run to an end, now or before the wait that it is in, and how.
func hasEnded(s corev1.ContainerStatus) (bool, int32) {
	if t := s.State.Terminated; t != nil {
		return true, t.ExitCode
	}
	if t := s.LastTerminationState.Terminated; t != nil && s.State.Running == nil {
		return true, t.ExitCode
	}
	return false, 0
}

func anyRunning(statuses []corev1.ContainerStatus) bool {
	for _, s := range statuses {
		if s.State.Running != nil {
			return true
		}
	}
	return false
}
