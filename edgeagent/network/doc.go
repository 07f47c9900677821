// Package network gives each pod a network namespace and takes it back.
//
// There is no pause container: the agent makes the namespace and pins it by a bind mount on <Dir>/<pod uid>,
// so it lasts while no container of the pod runs, and across restarts of the agent. A pin is a mount of the
// kernel's nsfs; a file without one is what a crash or a reboot left, and is used or removed like any
// other. Containers join by the path. For now a namespace has a loopback interface that is up, and nothing
// else.
//
// Pods on the host's network join the agent's own namespace: see Host. containerd has to see the pins, so
// the agent must run in containerd's mount namespace (`nsenter --net=…`, not `ip netns exec`).
package network
