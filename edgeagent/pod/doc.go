// Package pod is the machine of one pod on its node. It alone decides about the pod: in which order its
// containers start, what is pulled, what is started again and when, and how the pod ends.
//
//	Situation (desired pod, containers listed, actions under way) ─► Memory.Decide ─► Decision (actions, status, next)
//	Action ─► carried out by others ─► Result ─► Memory.Done
//
// Probes are actions that change nothing: their answers come back through Done, like every other result.
//
// The engine's list is the truth about what runs; Memory holds what no list can tell: since when a container
// waits, why a pull failed, how the attempt before ended. The part of it that must outlive the agent is its
// Record.
//
// Invariants: one container never has two attempts alive; a pod that is ending starts nothing; what is under
// way is not asked for again; deciding again in an unchanged situation asks for nothing new. The rules are the
// kubelet's wherever it has one. The package is pure.
package pod
