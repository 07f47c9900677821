package seal

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
)

// Keys are a cluster's own secret keys.
type Keys struct {
	Exchange *ecdh.PrivateKey   // X25519: what is sealed to the cluster
	Signing  ed25519.PrivateKey // what the leader signs
}

// NewKeys makes keys of 64 bytes that it reads from random. The same bytes make the same keys.
func NewKeys(random io.Reader) (Keys, error) {
	var seed [64]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Keys{}, fmt.Errorf("read random bytes for the cluster's keys: %w", err)
	}
	exchange, err := ecdh.X25519().NewPrivateKey(seed[:32])
	if err != nil {
		return Keys{}, fmt.Errorf("make the X25519 key: %w", err)
	}
	return Keys{Exchange: exchange, Signing: ed25519.NewKeyFromSeed(seed[32:])}, nil
}

// Public are the parts that nodes know.
func (k Keys) Public() (exchange, signing [32]byte) {
	copy(exchange[:], k.Exchange.PublicKey().Bytes())
	copy(signing[:], k.Signing.Public().(ed25519.PublicKey))
	return exchange, signing
}

// String keeps the keys out of logs.
func (k Keys) String() string { return "the cluster's keys" }

// GoString keeps the keys out of logs.
func (k Keys) GoString() string { return k.String() }

// Hash of a certificate authority: SHA-256 of its SubjectPublicKeyInfo, so that a CA may renew its certificate
// but not its key.
type CAHash [32]byte

// HashCA is the hash of a CA's certificate.
func HashCA(ca *x509.Certificate) CAHash { return sha256.Sum256(ca.RawSubjectPublicKeyInfo) }

// IsZero reports whether there is no pinned CA.
func (h CAHash) IsZero() bool { return h == CAHash{} }
