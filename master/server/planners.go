package server

import (
	"github.com/skerry-edge/skerry/master/controller/deployment"
	"github.com/skerry-edge/skerry/master/controller/garbage"
	"github.com/skerry-edge/skerry/master/controller/namespace"
	"github.com/skerry-edge/skerry/master/controller/node"
	"github.com/skerry-edge/skerry/master/controller/nodekey"
	"github.com/skerry-edge/skerry/master/controller/rbac"
	"github.com/skerry-edge/skerry/master/controller/replicaset"
	"github.com/skerry-edge/skerry/master/controller/serviceaccount"
	"github.com/skerry-edge/skerry/master/controller/subnet"
	"github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/master/scheduler"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// planners are the minds of the control plane, those that make work for others first. start is when this master
// began to lead.
func planners(c Config, start clock.Now) []reconcile.Planner {
	return []reconcile.Planner{
		namespace.New(),
		rbac.New(),
		serviceaccount.New(),
		nodekey.New(),
		subnet.New(subnet.Config{Range: c.PodCIDR}), // before a node is Ready, so that no pod waits for it
		node.New(node.Config{
			NodeTimeout: c.NodeTimeout, SuspectTimeout: c.SuspectTimeout, Heartbeat: c.Heartbeat,
			MassFailureWait: c.MassFailureWait, Start: start,
		}),
		garbage.New(garbage.Config{}),
		deployment.New(),
		replicaset.New(replicaset.Config{}),
		scheduler.New(scheduler.Config{}),
	}
}
