// Package replicaset is the Planner that keeps as many pods of each ReplicaSet as it asks for.
//
//	replicasets, pods ─► projection ─► a dirty set: claim pods ─► create or delete ─► status
//
// Pods are claimed as Kubernetes does: an orphan that the selector matches is adopted, an owned pod that it no
// longer matches is released. A pod that is being deleted or has ended does not count. Too many pods go in
// Kubernetes' order (pkg/controller, ActivePodsWithRanks): unassigned, pending, not ready, cheap to delete,
// doubled up on a node, newest.
//
// Invariants: a plan counts on the projection, which is at least as new as the view; it never leaves more pods
// than asked for, nor creates more than a burst at once; the status it writes is that after the plan. How long
// a pod has been ready is counted on the master's boot clock from when the master saw it. In a namespace that
// is being emptied nothing is created.
package replicaset
