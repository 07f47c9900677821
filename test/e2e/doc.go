// Package e2e tests Skerry as its users have it: the real binaries, brokers and containerd, network
// namespaces for hosts, edgectl for everything that a user does. `make test` runs it as root, on the binaries
// in SKERRY_BIN. Each test has a fleet of its own; they share one containerd, in namespaces of their own.
package e2e
