package reconcile

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	plans     *prometheus.CounterVec // by planner
	groups    *prometheus.CounterVec // by planner and result
	resets    *prometheus.CounterVec // by planner
	unsettled prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (metrics, error) {
	m := metrics{
		plans: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_planner_plans_total", Help: "Plans that a planner was asked for.",
		}, []string{"planner"}),
		groups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_planner_groups_total", Help: "Groups of changes that a planner asked for, by what became of them: written, conflict or failed.",
		}, []string{"planner", "result"}),
		resets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skerry_planner_resets_total", Help: "Times that a planner read the whole state: at the start, and after it fell behind.",
		}, []string{"planner"}),
		unsettled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "skerry_planner_unsettled_total", Help: "Steps that ended though the planners still asked for more.",
		}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.plans, m.groups, m.resets, m.unsettled} {
		if err := registerer.Register(c); err != nil {
			return metrics{}, fmt.Errorf("register the planners' metrics: %w", err)
		}
	}
	return m, nil
}
