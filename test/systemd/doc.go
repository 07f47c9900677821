// Package systemd boots a machine whose process 1 is the systemd of the host's distribution, and tries there what
// docs/install.md says: the units of both daemons are installed, enabled, hurt and taken away again.
//
// The machine is a set of namespaces over a copy-on-write view of the host's files, which lives in memory: what happens
// in it stays in it. It has the host's cgroup controllers below a cgroup of its own (version 1, hybrid, or version 2),
// one network interface that leads nowhere, and none of the host's services. Killing its process 1 ends all of it.
package systemd
