// Package hostenv gives tests, benchmarks and the demo a containerd of their own: own root, state and
// socket, no CRI plugin, state on a tmpfs as on a real node. It can be killed, restarted and stopped, and
// leaves nothing behind: no shim, mount, socket, cgroup of a container, state of runc or file.
//
// Shims are known by the address of the containerd that started them, which stands on their command line;
// only those are ended. Everything lies below one directory, which must have a short path: a Unix socket's
// name has at most 107 bytes.
package hostenv
