package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skerry-edge/skerry/master/controller/node"
	"github.com/skerry-edge/skerry/master/reconcile"
)

// countEvictions counts what became of the pods of lost nodes, by the reasons of the writes that were committed: the
// planner that decides it is pure and counts nothing.
func countEvictions(registerer prometheus.Registerer) func(reconcile.Outcome) {
	evictions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "skerry_node_evictions_total",
		Help: "Pods of lost nodes, by what became of them: replaced by their controller, moved, failed because they don't restart, or kept where they are.",
	}, []string{"outcome"})
	registerer.MustRegister(evictions)
	for _, outcome := range node.Evictions {
		evictions.WithLabelValues(outcome)
	}
	return func(o reconcile.Outcome) {
		if o.Err != nil || o.Planner != node.Name {
			return
		}
		for _, c := range o.Changes {
			if outcome := node.Eviction(c); outcome != "" {
				evictions.WithLabelValues(outcome).Inc()
			}
		}
	}
}
