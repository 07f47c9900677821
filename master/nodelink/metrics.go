package nodelink

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	received  *prometheus.CounterVec
	dropped   *prometheus.CounterVec
	refused   *prometheus.CounterVec
	published prometheus.Counter
	current   prometheus.Gauge
	up        prometheus.Gauge
	grants    prometheus.Counter
	slots     prometheus.Gauge

	nodes       *prometheus.GaugeVec
	transitions *prometheus.CounterVec
	paused      prometheus.Gauge
	flapping    prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) metrics {
	m := metrics{
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_nodelink_received_total", Help: "Messages from nodes, by channel.",
		}, []string{"channel"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_nodelink_dropped_total", Help: "Messages from nodes that found no room to wait in, by channel.",
		}, []string{"channel"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_nodelink_refused_total", Help: "Messages from nodes that were not acted upon, by reason.",
		}, []string{"reason"}),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "skerry_nodelink_desired_published_total", Help: "Desired states published.",
		}),
		current: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "skerry_nodelink_nodes", Help: "Nodes whose agent has proven its run to this master.",
		}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "skerry_nodelink_up", Help: "1 while this master is connected to its broker.",
		}),
		grants: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "skerry_nodelink_permits_granted_total", Help: "Permits given to nodes to run pods with partition policy stop.",
		}),
		slots: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "skerry_nodelink_slots", Help: "Slots of pods with partition policy stop that are taken.",
		}),
		nodes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "skerry_nodes", Help: "Nodes, by state: unheard (never), ready, suspect or lost.",
		}, []string{"state"}),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_node_transitions_total", Help: "Changes of nodes' states, by the states before and after.",
		}, []string{"from", "to"}),
		paused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "skerry_nodes_evictions_paused", Help: "Lost nodes whose pods stay because too many nodes are silent at once.",
		}),
		flapping: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "skerry_nodes_flapping", Help: "Nodes that were lost too often of late.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(m.received, m.dropped, m.refused, m.published, m.current, m.up, m.grants, m.slots,
			m.nodes, m.transitions, m.paused, m.flapping)
	}
	return m
}
