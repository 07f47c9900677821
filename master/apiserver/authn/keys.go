package authn

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// Keys sign the tokens of service accounts: the first one signs, and what any of them has signed is good.
type Keys struct{ keys []signingKey }

// signingKey is a key with the header of the tokens that it signs.
type signingKey struct {
	private ed25519.PrivateKey
	header  string // encoded
}

const (
	blockKey = "PRIVATE KEY" // PKCS #8
	maxKeys  = 8
)

// NewKeys makes one key.
func NewKeys(random io.Reader) (Keys, error) {
	_, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return Keys{}, fmt.Errorf("make the key of service accounts' tokens: %w", err)
	}
	return Keys{[]signingKey{newSigningKey(private)}}, nil
}

// ParseKeys reads keys that PEM has written, and others before or behind them.
func ParseKeys(text []byte) (Keys, error) {
	var k Keys
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		private, ok := key.(ed25519.PrivateKey)
		if err != nil || !ok || block.Type != blockKey {
			return Keys{}, fmt.Errorf("block %d is no Ed25519 key in PKCS #8", len(k.keys)+1)
		}
		if len(k.keys) == maxKeys {
			return Keys{}, fmt.Errorf("it has more than %d keys", maxKeys)
		}
		k.keys = append(k.keys, newSigningKey(private))
	}
	if len(k.keys) == 0 {
		return Keys{}, errors.New("it has no key")
	}
	return k, nil
}

// PEM is the keys as a file.
func (k Keys) PEM() ([]byte, error) {
	var out []byte
	for _, key := range k.keys {
		der, err := x509.MarshalPKCS8PrivateKey(key.private)
		if err != nil {
			return nil, fmt.Errorf("encode the key of service accounts' tokens: %w", err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: der})...)
	}
	return out, nil
}

// String keeps the keys out of logs.
func (Keys) String() string { return "(keys)" }

// GoString keeps the keys out of logs.
func (k Keys) GoString() string { return k.String() }

func newSigningKey(private ed25519.PrivateKey) signingKey {
	sum := sha256.Sum256(private.Public().(ed25519.PublicKey))
	header := `{"alg":"EdDSA","kid":"` + hex.EncodeToString(sum[:8]) + `","typ":"JWT"}`
	return signingKey{private, base64.RawURLEncoding.EncodeToString([]byte(header))}
}

// find is the key whose header this is.
func (k Keys) find(header string) (ed25519.PublicKey, bool) {
	for _, key := range k.keys {
		if key.header == header {
			return key.private.Public().(ed25519.PublicKey), true
		}
	}
	return nil, false
}
