// Command demo shows Skerry's main job on one machine: a master with its embedded broker, three nodes on a
// real containerd, a workload; a node that is lost without warning, its workload running elsewhere; the node
// back, its old copies stopped. Each step is checked; the first that fails ends the demo with exit code 1.
//
//	go run ./test/demo -bin bin        (make demo builds the binaries first)
//
// Everything it makes (processes, network namespaces, a containerd of its own, one directory) is removed at
// the end, also when it fails or is interrupted. It needs root.
package main
