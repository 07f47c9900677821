// Command loss measures how long a workload is away when its node is lost: from the loss to the replacement Running, as
// the API shows it. Fleets of a master and three nodes, on a real containerd, run side by side, for they wait most of the
// time.
//
//	go run ./test/bench/loss -bin bin        (make measure-loss builds the binaries first; five minutes)
//
// Each run lets a random part of a heartbeat interval pass, loses the node that has the workload, waits for the
// replacement, and brings the node back. The table has the median, the 99th percentile (of fewer than 100 runs: the
// longest) and the longest time. It needs root.
package main
