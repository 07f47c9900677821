package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/skerry-edge/skerry/master/change"
)

// readingsWindow is what a node's cpu figure is the average of: the agent's sampling interval.
const readingsWindow = 10 * time.Second

// NodeMetrics is metrics.k8s.io/v1beta1 NodeMetrics, for kubectl top: the readings of each node's last
// heartbeat. Nobody writes them.
var NodeMetrics = &Resource{
	Kind:     "nodes.metrics.k8s.io",
	GVK:      metricsv1beta1.SchemeGroupVersion.WithKind("NodeMetrics"),
	Volatile: true,
	ReadOnly: true,
	New:      func() Object { return &metricsv1beta1.NodeMetrics{} },
	NewList:  func() runtime.Object { return &metricsv1beta1.NodeMetricsList{} },

	Columns: []metav1.TableColumnDefinition{
		nameColumn,
		column("CPU", "string", "Cores in use, in thousandths."),
		column("Memory", "string", "Memory in use."),
		column("Window", "string", "What the figures are the average of."),
	},
	Row: row(func(m *metricsv1beta1.NodeMetrics, _ time.Time) []any {
		return []any{m.Name, m.Usage.Cpu().String(), m.Usage.Memory().String(), m.Window.Duration.String()}
	}),

	RenderedFrom: SeenKind,
	Render:       renderNodeMetrics,
}

// PodMetrics is metrics.k8s.io/v1beta1 PodMetrics, for kubectl top pod. They lie nowhere: the pods' nodes are asked
// each time.
var PodMetrics = &Resource{
	Kind:       "pods.metrics.k8s.io",
	GVK:        metricsv1beta1.SchemeGroupVersion.WithKind("PodMetrics"),
	Namespaced: true,
	ReadOnly:   true,
	Measured:   true,
	New:        func() Object { return &metricsv1beta1.PodMetrics{} },
	NewList:    func() runtime.Object { return &metricsv1beta1.PodMetricsList{} },

	Columns: []metav1.TableColumnDefinition{
		nameColumn,
		column("CPU", "string", "Cores in use by all containers, in thousandths."),
		column("Memory", "string", "Memory in use by all containers."),
		column("Window", "string", "What the figures are the average of."),
	},
	Row: row(func(m *metricsv1beta1.PodMetrics, _ time.Time) []any {
		var cpu, memory quantity.Quantity
		for _, c := range m.Containers {
			cpu.Add(*c.Usage.Cpu())
			memory.Add(*c.Usage.Memory())
		}
		cpu.RoundUp(quantity.Milli)
		return []any{m.Name, cpu.String(), memory.String(), m.Window.Duration.String()}
	}),
}

// ContainerUse is what one container was measured to use.
type ContainerUse struct {
	Name        string
	CPUNano     int64 // billionths of a core
	MemoryBytes int64
}

// NewPodMetrics makes a pod's figures from what its node measured in the window that ended at a time.
func NewPodMetrics(pod metav1.Object, ended time.Time, window time.Duration, use []ContainerUse) *metricsv1beta1.PodMetrics {
	at := metav1.NewTime(ended).Rfc3339Copy()
	m := &metricsv1beta1.PodMetrics{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.GetName(), Namespace: pod.GetNamespace(), Labels: pod.GetLabels(), CreationTimestamp: at,
		},
		Timestamp: at, Window: metav1.Duration{Duration: window}, Containers: []metricsv1beta1.ContainerMetrics{},
	}
	m.SetGroupVersionKind(PodMetrics.GVK)
	for _, u := range use {
		m.Containers = append(m.Containers, metricsv1beta1.ContainerMetrics{Name: u.Name, Usage: corev1.ResourceList{
			corev1.ResourceCPU:    *quantity.NewScaledQuantity(u.CPUNano, quantity.Nano),
			corev1.ResourceMemory: *quantity.NewQuantity(u.MemoryBytes, quantity.BinarySI),
		}})
	}
	return m
}

// renderNodeMetrics makes a node's figures; nil where there are none: for the record of the master's own
// connection, for a node that has not yet sent a heartbeat to this master, and for one that has not yet
// measured its processor: that takes two samples.
func renderNodeMetrics(rec change.Record) Object {
	seen, err := DecodeSeen(rec.Value)
	if err != nil || rec.Key.Name == LinkName || seen.Readings.MemoryKiB == 0 || seen.Readings.CPUMilli == 0 {
		return nil
	}
	m := &metricsv1beta1.NodeMetrics{
		ObjectMeta: metav1.ObjectMeta{Name: rec.Key.Name, ResourceVersion: rec.Rev.String()},
		Timestamp:  metav1.NewTime(seen.Heard().Wall).Rfc3339Copy(),
		Window:     metav1.Duration{Duration: readingsWindow},
		Usage: corev1.ResourceList{
			corev1.ResourceCPU:    *quantity.NewMilliQuantity(int64(seen.Readings.CPUMilli), quantity.DecimalSI),
			corev1.ResourceMemory: *quantity.NewQuantity(int64(seen.Readings.MemoryKiB)<<10, quantity.BinarySI),
		},
	}
	m.CreationTimestamp = m.Timestamp
	m.SetGroupVersionKind(metricsv1beta1.SchemeGroupVersion.WithKind("NodeMetrics"))
	return m
}
