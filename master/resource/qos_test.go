package resource

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// The class of service follows from requests and limits (Kubernetes: pkg/apis/core/v1/helper/qos).
func TestQOSClass(t *testing.T) {
	for container, want := range map[string]corev1.PodQOSClass{
		"":                                corev1.PodQOSBestEffort,
		"resources: {limits: {cpu: 0}}":   corev1.PodQOSBestEffort,
		"resources: {requests: {cpu: 1}}": corev1.PodQOSBurstable,
		"resources: {limits: {cpu: 1}}":   corev1.PodQOSBurstable,
		"resources: {limits: {cpu: 1, memory: 1Gi}}":                                       corev1.PodQOSGuaranteed,
		"resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 1000m}}":               corev1.PodQOSGuaranteed,
		"resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 1, memory: 1Mi}}":      corev1.PodQOSBurstable,
		"resources: {limits: {cpu: 1, memory: 1Gi}}\n  - name: d\n    image: i":            corev1.PodQOSBurstable,
		"resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m, memory: 512Mi}}": corev1.PodQOSBurstable,
	} {
		text := podWith("", "")
		if container != "" {
			text += "    " + container + "\n"
		}
		p := parse[*corev1.Pod](t, Pods, text)
		if got := QOSClass(&p.Spec); got != want {
			t.Errorf("%q is %s, want %s", container, got, want)
		}
	}
}
