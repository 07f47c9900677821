package reconcile

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// metrics count what the loop does.
type metrics struct {
	actions *prometheus.CounterVec // by action and result
}

// newMetrics registers the loop's metrics; without a registerer they count for nobody.
func newMetrics(registerer prometheus.Registerer, r *Reconciler) (metrics, error) {
	m := metrics{actions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "skerry_agent_actions_total", Help: "Actions for pods, by kind and result: done, failed or given-up.",
	}, []string{"action", "result"})}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.actions,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "skerry_agent_pods", Help: "Pods that are on the node or shall be.",
		}, func() float64 {
			_, pods := r.Statuses()
			return float64(len(pods))
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "skerry_agent_engine_up", Help: "1 while the container engine answers.",
		}, func() float64 {
			if r.EngineError() != nil {
				return 0
			}
			return 1
		}),
	} {
		if err := registerer.Register(c); err != nil {
			return metrics{}, fmt.Errorf("register the control loop's metrics: %w", err)
		}
	}
	return m, nil
}

// ended counts an action.
func (m metrics) ended(kind pod.Kind, result pod.Result) {
	outcome := "done"
	switch {
	case result.GivenUp:
		outcome = "given-up"
	case result.Err != nil:
		outcome = "failed"
	}
	m.actions.WithLabelValues(string(kind), outcome).Inc()
}
