package resource

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/skerry-edge/skerry/master/change"
)

func benchPod(b *testing.B) *corev1.Pod {
	b.Helper()
	var pod corev1.Pod
	text := podWith("nodeName: pi-1", "ports: [{containerPort: 80}]\nresources: {limits: {cpu: 1, memory: 64Mi}}\nenv: [{name: A, value: b}]") +
		"status: {phase: Running, podIPs: [{ip: 10.0.0.9}], containerStatuses: [{name: c, ready: true, restartCount: 1, state: {running: {}}}]}"
	if err := yaml.Unmarshal([]byte(text), &pod); err != nil {
		b.Fatal(err)
	}
	defaultPod(&pod)
	return &pod
}

// One row of `kubectl get pods`: a list of ten thousand pods has 300 ms.
func BenchmarkPodRow(b *testing.B) {
	value, err := Encode(benchPod(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		o, err := Pods.Decode(change.Record{Value: value})
		if err != nil {
			b.Fatal(err)
		}
		Pods.Row(o, tableTime)
	}
}

// What the API does with a new pod before it is stored.
func BenchmarkPodCreate(b *testing.B) {
	pod := benchPod(b)
	for b.Loop() {
		Pods.Default(pod)
		Pods.PrepareCreate(pod)
		Pods.Validate(pod, nil)
	}
}
