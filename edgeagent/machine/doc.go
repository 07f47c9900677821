// Package machine knows the board: what it is, how it feels, and how Kubernetes wants to hear of it.
//
//	/proc, statfs, interfaces ─► sample (every 10 s) ─► Readings, for the heartbeat
//	                                                └─► judge ─► corev1.Node, for the status
//
// Readings change all the time and travel with the heartbeat. The Node must not: it is built of what stays
// (capacity, versions, labels) and of judgements about readings (pressure), which have hysteresis, so its
// encoding changes only when something happened that a person would want to know. Condition times are those
// of the transitions. The master adds Ready and the taints.
//
// Readers never block; they get the last sample.
package machine
