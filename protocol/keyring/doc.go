// Package keyring encrypts what a daemon keeps on its disk, under keys that lie in a file of their own, so that a copy
// of the rest is worth nothing without that file.
//
// The file, mode 0600, has one key a line, "<id> <base64>", beside lines that begin with #. The first key encrypts, all
// decrypt: rotating is to put a new one in front, to encrypt everything anew, and to drop the others. The id is drawn
// from the key, so a line that was damaged is found.
//
// A sealed value is
//
//	key id 4 | nonce 24, random | ciphertext and tag
//
// by XChaCha20-Poly1305, whose nonces are long enough to be random. The context (which value of which file it is) is
// authenticated with it: one value can't take the place of another. What an older copy of the same value may do is not
// prevented here.
package keyring
