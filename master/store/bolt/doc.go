// Package bolt is the store.Store that survives power cuts: the state in memory (store.Core), each durable
// write in one bbolt file before it is acknowledged. It is the only home of bbolt on the master.
//
//	Commit ─► queue ─► writer goroutine: check and apply a batch ─► Replicator ─► one fsync ─► publish ─► answers
//
// The data directory, all of it mode 0600:
//
//	lock         held while a master uses the directory
//	epoch        the newest epoch begun here, as text; outlives a corrupt state.db, so no revision is used twice
//	reserved-space  room for starting and deleting on a full disk (protocol/ballast)
//	secrets.key  the keys that what is secret is encrypted under (protocol/keyring)
//	snapshot.db  a verified copy of state.db, at most a day old
//	state.db     bbolt, one bucket a kind:
//	             ├── format     "skerry" → 2
//	             ├── position   "epoch" → term 4, start 4    "rev" → 8: newest durable write
//	             ├── settings   name → crc 4, sealed value    what is not an object
//	             ├── journal    kind 00 namespace 00 name → crc 4, replaced 8, newest 8, flags 1: see journal.go
//	             ├── objects
//	             │   ├── pods              namespace 00 name → crc 4, rev 8, value
//	             │   ├── deployments.apps  …
//	             │   └── …
//	             └── sealed                the same, of the kinds that are secret
//	                 └── secrets           namespace 00 name → crc 4, rev 8, sealed value
//	state.db.corrupt-N  set aside, never deleted by us
//
// A sealed value is bound to its kind and key; a file of format 1, or with a secret kind among the objects, is written
// anew at the start, and its snapshot replaced. Numbers are big endian. The crc is CRC-32C over key, rev and value: bbolt checks its own pages' links, not
// their content, and SD cards rot. Invariants: what was acknowledged is in the file; the file is opened only
// after it was read whole and found sound; files appear by write aside, sync, rename, sync of the directory;
// an empty store never takes the place of one that can't be read; a key that is missing is never taken for damage.
//
// What the Replicator answered ErrAway to is journaled in the transaction that writes it: one entry an object (journal.go), in
// a bucket that the first such write makes.
package bolt
