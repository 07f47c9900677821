package server

import (
	"github.com/skerry-edge/skerry/master/controller/deployment"
	"github.com/skerry-edge/skerry/master/controller/replicaset"
	"github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/master/scheduler"
)

// planners are the minds of the control plane, those that make work for others first.
func planners(Config) []reconcile.Planner {
	return []reconcile.Planner{
		deployment.New(),
		replicaset.New(replicaset.Config{}),
		scheduler.New(scheduler.Config{}),
	}
}
