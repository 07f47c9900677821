// Package disk keeps what an agent must remember across restarts and power cuts, in its data directory:
//
//	agent.db        bbolt: run number, highest epoch, desired state with its position, records of pods
//	identity        a file of its own, replaced as a whole: who the node is and how it joined
//	secrets.key     the keys that identity and desired state are encrypted under (protocol/keyring)
//	reserved-space  room for the agent on a disk that a pod has filled (protocol/ballast)
//
// Every method that keeps something returns after an fsync, and writes nothing when nothing changes: an idle
// agent writes no byte. A new position does not write the desired state again. A database that can't be read is
// set aside, never deleted, and replaced by an empty one; the identity survives that, and the master sends
// the rest anew. A single value that can't be read is dropped alone. bbolt is used in this package only.
package disk
