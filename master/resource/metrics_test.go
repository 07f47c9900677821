package resource

import (
	"testing"
	"time"

	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/message"
)

// A node's figures are those of its last heartbeat; where there was none, there are none.
func TestNodeMetrics(t *testing.T) {
	heard := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	record := func(name string, r message.Readings) change.Record {
		return change.Record{Key: change.Key{Kind: SeenKind, Name: name}, Rev: 7,
			Value: EncodeSeen(Seen{HeardWall: heard.UnixNano(), Online: true, Readings: r})}
	}
	o := NodeMetrics.Render(record("n", message.Readings{CPUMilli: 250, MemoryKiB: 300 << 10}))
	m, ok := o.(*metricsv1beta1.NodeMetrics)
	if !ok {
		t.Fatalf("rendered %v", o)
	}
	if m.Name != "n" || m.Usage.Cpu().String() != "250m" || m.Usage.Memory().String() != "300Mi" || !m.Timestamp.Time.Equal(heard) {
		t.Errorf("rendered %v", m)
	}
	for _, none := range []change.Record{record("n", message.Readings{}), record(LinkName, message.Readings{MemoryKiB: 1})} {
		if o := NodeMetrics.Render(none); o != nil {
			t.Errorf("%s: rendered %v", none.Key, o)
		}
	}
}
