// Package apiserver serves the Kubernetes API over the store: one file a verb, generic over
// resource.Resource, so that a new kind touches nothing here.
//
//	TLS ─► limits ─► who ─► path ─► may he ─► verb ─► store ─► encode
//
// A verb gets a *call, reads the store's View or a Cursor, writes with Commit and answers through the call; an
// error it returns becomes a metav1.Status in one place (errors.go). What several kinds treat differently is a
// function or a field of Resource. Invariants: nothing is decoded before its size is known to be bounded; no
// request waits for a slow reader (a watch that falls behind is ended, its client lists again); a write names
// the revision that it was made from, and is tried again where Kubernetes tries again; every list is of one
// revision, also across its pages.
package apiserver
