// Package namespace is the Planner that empties a namespace that is being deleted, and then lets it go.
//
//	deletionTimestamp (apiserver) ─► delete its objects, kind by kind, makers before what they make ─►
//	none left ─► take the finalizer "kubernetes" off ─► the namespace is gone
//
// Pods on a node get their grace; what finalizers hold is waited for, and the namespace's conditions say for
// what. Seed is what a new cluster begins with.
//
// Invariants: a namespace goes only when the view shows nothing in it; the API lets nothing new in meanwhile.
package namespace
