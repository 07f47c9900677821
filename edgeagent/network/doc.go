// Package network gives each pod a network namespace with an address, and takes both back.
//
//	Prepare: intention on file ─► namespace, pinned ─► CNI bridge + host-local ─► CNI portmap ─► result on file
//	Release: what is on file ─► portmap DEL ─► bridge DEL ─► pin ─► file; the last pod takes the bridge along
//
// There is no pause container: the agent makes the namespace and pins it by a bind mount on <Dir>/netns/<pod uid>,
// so it lasts while no container of the pod runs, and across restarts of the agent. The CNI plugins are those of
// the distribution. What they were told is on file before they are run, so that whoever finds a namespace half
// made (the agent was killed) can undo it and begin again; a new agent first waits for the plugins that an old
// one left running. All of this lies on a tmpfs: after a reboot there is neither a namespace nor a reservation.
//
// Pods of one subnet share a bridge. Its name derives from Name and the subnet, so a node that is given another
// subnet makes another bridge, and the old one goes with its last pod. Masquerading and the permission to forward
// are three iptables rules a bridge, not some a pod.
//
// Pods on the host's network join the agent's own namespace: see Host. containerd has to see the pins, so the
// agent must run in containerd's mount namespace (`nsenter --net=…`, not `ip netns exec`).
package network
