package masterlink

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skerry-edge/skerry/protocol"
)

// metrics count what goes over the wire.
type metrics struct {
	sent     *prometheus.CounterVec // by channel
	refused  *prometheus.CounterVec // by reason
	accepted prometheus.Counter
}

// newMetrics registers the link's metrics; without a registerer they count for nobody.
func newMetrics(registerer prometheus.Registerer, l *Link) metrics {
	m := metrics{
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_masterlink_sent_total", Help: "Messages to the master, by channel; hb are heartbeats, res are frames of streams.",
		}, []string{"channel"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_masterlink_refused_total", Help: "Messages from the master that were not acted upon, by reason.",
		}, []string{"reason"}),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "skerry_masterlink_desired_accepted_total", Help: "Desired states that were stored and came into force.",
		}),
	}
	for _, channel := range []string{protocol.Hello, protocol.Beat, protocol.Presence, protocol.Status, protocol.Response} {
		m.sent.WithLabelValues(channel) // shown from the start, so that a rate has no gap
	}
	if registerer == nil {
		return m
	}
	flag := func(name, help string, read func(Health) bool) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skerry_masterlink_" + name, Help: help}, func() float64 {
			if read(l.Health()) {
				return 1
			}
			return 0
		})
	}
	registerer.MustRegister(m.sent, m.refused, m.accepted,
		flag("connected", "1 while the agent is connected to its broker.", func(h Health) bool { return h.Connected }),
		flag("welcomed", "1 while the master has answered this run of the agent.", func(h Health) bool { return h.Welcomed }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "skerry_masterlink_dropped_total", Help: "Messages from the master that found no room.",
		}, func() float64 { return float64(l.Health().Dropped) }),
	)
	return m
}
