// Package seal wraps what travels: the envelope around every message, runs and the replay window, the sealed
// channel between a cluster and a node and the one of an agent that joins, the cluster's keys and the join token. It is
// pure; randomness comes in as an io.Reader. docs/trust.md has the composition, and what it is good for.
package seal
