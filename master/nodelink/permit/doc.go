// Package permit decides who may run the pods of which there must be at most one: those with partition policy stop. It
// is pure: the nodes' heartbeats and the time go in, grants and records come out.
//
//	heartbeat that asks ─► Ask: which pods, in which slots? ─► records to be written ─► Sent ─► grant goes out
//	a slot gets free ─► Again: the nodes whose pods wait for one, with the heartbeat that they sent last
//	silence ─► Expire: the records whose last grant has surely ended
//	"nothing of the pod is left" ─► Gone, Released: the records that have ended by the node's word
//	a pod is deleted by force ─► Questions: the node is asked what has become of it
//
// A slot (resource.Slots) is taken by the record of a pod: which node holds it, on which boot, and how long a permit
// may be. The record is written before the first grant, and is what counts: it outlives pod, node and master. While it
// is there no other pod of the slot gets a permit. It ends when the node says so in its current run and on the same
// boot, or when the last grant that names the pod has surely ended: 1.12 times its length, and 2 s, after it was sent,
// which is enough for two clocks that are both within 5 % of the truth; a node counts from when it sent the heartbeat
// that the grant answers, which is earlier. Of the grants of an earlier epoch nothing is known but their length: each
// may have been sent just before this epoch began. And the store may be older than what was granted, restored from a
// backup: a master that begins to lead gives no slot away before the longest permit of an earlier one has ended, and renews
// only what runs: what does not may have lost its slot after the backup.
//
// Two masters may lead at once, one of them cut off from etcd, and each must keep to what the other can't know. The one
// that took over treats what nodes hold as permitted until each has proven that it obeys it (Heard), for a node obeys one
// master. The one that may have been replaced (Apart) lets nothing end by time, for whoever is silent may obey the other,
// and moves no slot to another node.
//
// A pod that can run on one node only is granted for good (Slot.Bound): only that node's word ends its record, or a
// person's who knows that the node is off.
//
// Invariants: nothing is granted whose record is not in the store; a record is never given to another pod, node or
// boot before it has ended; when a grant was sent is in memory alone, and a restart makes it later, never earlier.
package permit
