// Package pod computes what master and agent must agree on about a pod: the names of its containers on the
// engine, which change needs a new container, its phase and conditions, its quality of service, and how long a
// failing container waits.
//
// The rules are the kubelet's, named where they stand, so that kubectl shows what its users know. The package
// is pure; times come in as arguments.
package pod
