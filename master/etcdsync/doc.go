// Package etcdsync keeps a master's store and etcd the same, and elects who leads. It is the only home of the etcd
// client.
//
//	leader:    Commit ─► Replicate ─► etcd ─► bbolt ─► watchers, answer        etcd is away: ─► bbolt with a journal
//	follower:  etcd ─► watch ─► bbolt ─► watchers                              Commit says ErrNotLeader
//
// In etcd, below /skerry/<cluster>/:
//
//	meta         format, hash of the cluster's public keys, a value encrypted as Secrets are; written once
//	epoch        newest term, who won it, and what its leader does when it is cut off
//	election     who leads; ends with its lease
//	terms/<n>    the position at which a term began
//	position     newest revision, number of the last transaction
//	objects/<kind>/<namespace>/<name>   write id 8, value; encrypted where bbolt's is
//	refilling    there while the objects are not all there
//	masters/<id> name and addresses
//	alive/<id>   how far it has come; ends with its lease
//	synced       when a leader last had everything in etcd; it stays when the site is cut off
//	returned/    writes of a master that was cut off, for the leader to judge
//	conflicts/   those that lost
//	led/<id>, ended/<id>   the newest term that a master has led in, and the newest that it has ended: rivals.go
//	keys         the cluster's keys, wrapped by the recovery key
//
// The write id of an object is its revision: (epoch, n), never used twice. Every transaction that writes objects compares
// etcd's own revision of election, so that a master which leads no more can't write, and of position, which it raises: all
// of etcd is compared and swapped at once, and a transaction whose answer was lost shows by the position or by the write
// ids of its objects whether it happened. A term is won in the transaction that takes the election, and belongs to one
// master for ever; only its owner begins further starts in it.
//
//	Waiting ──► Follower ──► Leading ◄──► Away ──► CatchingUp ──► Leading
//	   │           ▲            │           │
//	   └───────────┴────────────┴───────────┘  another has led in a newer term
//
// What a master does with its state when it meets etcd decides merge.Meet; what becomes of a write that was made while
// etcd was away, merge.Judge. Run is one goroutine, and Replicate the store's writer: they share the fields below mu.
// The change from CatchingUp to Leading happens between two batches of the writer, so no write falls in between.
//
// Failures, and what then happens:
//
//	no answer within 2 s        the write is journaled in the transaction that writes it, and acknowledged; so are all
//	                            further ones, at once, until the journal is pushed. Whether etcd has it the write id shows
//	the lease ends, nobody led  the election is taken again in the same term, as the epoch's key proves
//	another leads               the next transaction, or the next look, says so: no write is taken any more, the loops end,
//	                            the journal's writes of users are handed over, and the store follows
//	etcd was emptied, or an old  the leader fills it from its store in a newer term; until that is done a mark keeps the
//	backup restored             others from taking what is there for the state. A follower waits two leases for the leader
//	bbolt refuses after etcd    nobody was told; the next transaction puts right what etcd has
//	a commit of more than 120   goes in several transactions: a leader that dies in between leaves a part of what it had
//	objects or 1.2 MB           not acknowledged
package etcdsync
