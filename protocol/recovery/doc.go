// Package recovery has what brings a cluster back after its master's disk is gone: the recovery key, which people keep,
// the bundle of a master's key files, wrapped for that key, and the file of a backup.
//
//	recovery key (256 random bits, "skr1-…") ─► X25519 key pair ─► recipient (public, "skrp1-…"), kept by the master
//	Wrap, Writer: need the recipient alone        Unwrap, Reader: need the recovery key
//
// So a master makes backups and wraps its keys without holding anything that opens them again. Sealing is X25519 with a
// key pair of the moment, HKDF-SHA-256 and ChaCha20-Poly1305:
//
//	secret = HKDF-Extract(salt "skerry recovery 1", X25519(key of the moment, recipient))
//	key    = HKDF-Expand(secret, purpose 0 ‖ recipient 32 ‖ SHA-256(head), 32)
//
// A key seals one bundle (nonce 0), or the chunks of one backup (nonce = 0³ ‖ number 8 ‖ 1 in the last, else 0), so no
// nonce comes twice. The head is all that stands before what is sealed. A wrapped bundle is
//
//	version 1 ‖ recipient's id 8 ‖ public key of the moment 32 ‖ sealed CBOR
//
// and a backup
//
//	"SKRYBAK" ‖ version 1 ‖ recipient's id 8 ‖ public key of the moment 32 ‖ length 2 ‖ Info, JSON
//	‖ sealed chunks of 64 KiB, the last one shorter ‖ SHA-256 of all that 32
//
// in whose chunks stand: length 4 ‖ wrapped bundle ‖ the store's file. The checksum at the end shows anybody that a file is
// whole; the seals show the owner of the recovery key that nobody has changed it. Neither says who made it: whoever knows
// the recipient can. Nothing is read before its length is known to be within bounds.
package recovery
