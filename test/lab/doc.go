// Package lab makes a small fleet out of one machine, for the demo and the end-to-end tests: a network
// namespace for each host, a switch between them, real binaries in them, and a real containerd.
//
//	         switch namespace (bridge, 10.77.0.0/24)
//	veth ┌───────────┬───────────┬───────────┐ veth
//	   master      node-1      node-2      node-3        one namespace each
//	skerry-master  skerry-agent …                        one data directory each
//	                skerry-guard …                        and a guard each
//	                     └── one containerd, a containerd namespace for each node
//
// Nothing touches the machine's own network: even the bridge lives in a namespace. Everything that a Lab
// started or made ends with Close, also after a failed step. It needs root.
package lab
