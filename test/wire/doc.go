// Package wire tests both ends of the wire protocol together: master/nodelink over a store in memory,
// edgeagent/masterlink over a disk in memory, and between them a broker that loses, repeats and delays messages,
// all stepped from one goroutine in virtual time. It holds nothing but tests.
package wire
