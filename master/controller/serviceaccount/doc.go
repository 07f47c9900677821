// Package serviceaccount is the Planner that gives each namespace its service account "default", as Kubernetes does:
// when the namespace is made, and again when the account was deleted.
//
// Invariants: a namespace that is being deleted gets none; an account that is there is never written.
package serviceaccount
