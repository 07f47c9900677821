// Package scheduler is the Planner that gives each pod a node, or says why none takes it.
//
//	pods, nodes ─► projection ─► oldest pending pod first: filter ─► score ─► binding + Event
//	                                                          └──► no node: PodScheduled=False + Event
//
// Filters and their words are kube-scheduler's: unschedulable, taints, node selector, host ports, resources. A
// node that is not Ready counts as tainted even before the node controller has tainted it. Scores prefer the
// least loaded node, one without a pod of the same owner, and one that has the images.
//
// Nodes are kept as small structs with their free resources. Of a big cluster a pod looks at a sample: from a
// place computed from its uid onwards, until enough nodes take it. Pods with equal needs that found no node
// are not searched for again in the same plan, and wait until a node changes or a pod leaves.
//
// Invariants: what is bound by this planner fits into the node's allocatable resources; equal views have equal
// plans; a plan leaves the projection as it was, so that a commit that failed needs no repair. A pod that is
// created with spec.nodeName bypasses the scheduler. Those it binds carry the annotation skerry.dev/scheduled:
// all others belong to their node and are never moved.
package scheduler
