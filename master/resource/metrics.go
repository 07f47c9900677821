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
