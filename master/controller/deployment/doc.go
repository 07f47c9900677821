// Package deployment is the Planner that rolls Deployments out: it makes a ReplicaSet for each pod template
// and moves replicas from the old ones to the new one.
//
//	deployments, replicasets ─► a dirty deployment: claim its sets ─► find or make the new one ─►
//	scale (paused, resized) or roll (RollingUpdate, Recreate) by one step ─► status and conditions
//
// Arithmetic, annotations, conditions and words are those of Kubernetes' deployment controller
// (pkg/controller/deployment), so that kubectl rollout status, history, undo, pause and resume work. One plan
// takes one step; its writes to the Deployment, its sets and the Events are one commit; the next step follows
// when the replica sets have reported.
//
// Invariants: the sets together never want more than replicas + maxSurge pods, and none is taken away that
// would leave fewer than replicas − maxUnavailable available. The progress deadline is counted on the boot
// clock, from when this master saw the last progress.
package deployment
