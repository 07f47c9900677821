// Package rbac keeps the roles that every cluster has, and is the Planner that gathers the rules of aggregated ones.
//
//	start of a master ─► Seed: add what is missing of the default roles and bindings
//	a ClusterRole changes ─► each role with an aggregationRule gets the rules of those that its selectors choose
//
// As in Kubernetes the defaults are completed, never cut: what an administrator has added stays, what was taken away
// comes back at the next start, and an object whose annotation rbac.authorization.kubernetes.io/autoupdate is "false"
// is left alone.
//
// Invariants: planning again changes nothing; the rules of an aggregated role are in the order of the roles' names.
package rbac
