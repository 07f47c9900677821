// Package enroll lets machines join: it answers those who show a join token, and stores their keys.
//
//	join/<id>/ask:  JoinAsk (node's public key, name) ─► its turn ─► challenge ─► JoinProof (token) ─► judge ─► store ─► verdict
//
// An attempt has an id and a key pair of its own, so that nobody else can read or answer it; see package seal. The
// challenge is of this very run of the master, serves one attempt for a minute, and only who holds the node's private
// key can read it: a recorded attempt is worth nothing. The key and the use of the token are stored in one commit,
// before the verdict goes out; who asks again with the same key is told the same again, and uses nothing up. Attempts
// begin one after the other, at a rate that strangers can't raise; whoever is let in gives its turn back, so that a fleet
// of a thousand machines joins in seconds.
//
// Invariants: a name belongs to one key at a time, until its Node is deleted, or for an hour if there never was one; a
// token lets in no more nodes than it says; the secret of a token is nowhere but in what its maker was told; strangers
// cost a bounded amount of memory and of key exchanges.
package enroll
