package seal

import (
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrUnreadable is wrapped when an envelope is well-formed but was not sealed by the other end of this box, for
// this topic and this receiver.
var ErrUnreadable = errors.New("not sealed for this receiver")

// Side is an end of a Box: which direction it seals.
type Side byte

// The two sides.
const (
	Master Side = 1
	Node   Side = 2
)

func (s Side) other() Side { return Master + Node - s }

// Overhead is what sealing adds to a body, in bytes.
const Overhead = headerSize + chacha20poly1305.Overhead

// Box is one end of the sealed channel between a cluster and one node. Who opens an envelope knows that the other
// end sealed it, for this topic, direction and receiver.
//
//	secret = HKDF-Extract("skerry 1", X25519(own private key, other public key))
//	key    = HKDF-Expand(secret, "skerry box 1" 0 cluster 0 node 0 cluster's key, node's key, direction, sender's run, receiver's run)
//	sealed = header ‖ ChaCha20-Poly1305(key, nonce = 0⁴ ‖ sequence, body, associated data = header ‖ topic)
//
// A key serves one sender's run, whose sequence grows with every message, so that no nonce comes twice: a run has
// 64 random bits of its own, also after a crash, on a cloned card or from a restored backup. Seal is for one
// goroutine at a time, and so is Open; they don't disturb each other.
type Box struct {
	side    Side
	secret  []byte
	context []byte
	sealing aeadCache
	opening aeadCache
}

// NewBox makes the box of a cluster and a node from one's own private key and the other's public one.
func NewBox(side Side, private *ecdh.PrivateKey, public [32]byte, cluster, node string) (*Box, error) {
	shared, err := exchange(private, public)
	if err != nil {
		return nil, err
	}
	clusterKey, nodeKey := public[:], private.PublicKey().Bytes()
	if side == Master {
		clusterKey, nodeKey = nodeKey, clusterKey
	}
	context := append([]byte("skerry box 1\x00"+cluster+"\x00"+node+"\x00"), clusterKey...)
	return newBox(side, shared, append(context, nodeKey...))
}

func newBox(side Side, shared, context []byte) (*Box, error) {
	secret, err := hkdf.Extract(sha256.New, shared, []byte("skerry 1"))
	if err != nil {
		return nil, fmt.Errorf("derive a secret: %w", err)
	}
	return &Box{side: side, secret: secret, context: context}, nil
}

// exchange is X25519. It refuses a public key that would make the secret a known one (RFC 7748 section 6.1).
func exchange(private *ecdh.PrivateKey, public [32]byte) ([]byte, error) {
	key, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return nil, fmt.Errorf("read the other's public key: %w", err)
	}
	shared, err := private.ECDH(key)
	if err != nil {
		return nil, fmt.Errorf("agree on a secret: %w", err)
	}
	return shared, nil
}

// String keeps the secret out of logs.
func (b *Box) String() string { return "a sealed channel" }

// GoString keeps the secret out of logs.
func (b *Box) GoString() string { return b.String() }

// Password is what the node shows a broker with accounts. It says nothing about the secret.
func (b *Box) Password() string {
	return base64.RawURLEncoding.EncodeToString(b.derive("skerry broker password 1", 24))
}

// Seal encodes and seals a message to one run of the other end; to the zero run, when it is for whichever comes.
func (b *Box) Seal(topic string, sender, receiver Run, sequence uint64, body []byte) []byte {
	out := make([]byte, 0, len(body)+Overhead)
	out = appendHeader(out, Sealed, sender, sequence)
	aead := b.sealing.find(b, b.side, sender, receiver)
	return aead.Seal(out, nonce(sequence), body, associated(out, topic))
}

// Open opens what the other end sealed to a run of this one.
func (b *Box) Open(topic string, receiver Run, raw []byte) (Envelope, error) {
	e, err := Parse(raw)
	if err != nil {
		return Envelope{}, err
	}
	if e.Version != Sealed {
		return Envelope{}, fmt.Errorf("%w: version %d is not a sealed one", ErrUnreadable, e.Version)
	}
	aead := b.opening.find(b, b.side.other(), e.Sender, receiver)
	e.Body, err = aead.Open(nil, nonce(e.Sequence), e.Body, associated(raw[:headerSize], topic))
	if err != nil {
		return Envelope{}, ErrUnreadable
	}
	return e, nil
}

func nonce(sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, chacha20poly1305.NonceSize), sequence)
}

func associated(header []byte, topic string) []byte {
	return append(header[:len(header):len(header)], topic...)
}

// derive is HKDF-Expand in the context of this box.
func (b *Box) derive(label string, size int, more ...[]byte) []byte {
	info := append([]byte(label+"\x00"), b.context...)
	for _, m := range more {
		info = append(info, m...)
	}
	key, err := hkdf.Expand(sha256.New, b.secret, string(info), size)
	if err != nil {
		panic(err) // size is a constant that is too big
	}
	return key
}

func (b *Box) key(from Side, sender, receiver Run) []byte {
	return b.derive("skerry key 1", chacha20poly1305.KeySize, []byte{byte(from)}, sender.bytes(), receiver.bytes())
}

// aeadCache keeps the ciphers of the two pairs of runs that were used last: one is to the zero run.
type aeadCache [2]struct {
	sender, receiver Run
	aead             cipher.AEAD
}

func (c *aeadCache) find(b *Box, from Side, sender, receiver Run) cipher.AEAD {
	for i, e := range c {
		if e.aead != nil && e.sender == sender && e.receiver == receiver {
			if i != 0 {
				c[0], c[1] = c[1], c[0]
			}
			return e.aead
		}
	}
	aead, err := chacha20poly1305.New(b.key(from, sender, receiver))
	if err != nil {
		panic(err) // the key's size is a constant
	}
	c[1] = c[0]
	c[0].sender, c[0].receiver, c[0].aead = sender, receiver, aead
	return aead
}
