package seal

import (
	"crypto/ecdh"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// An agent that joins says who it is in an envelope of version Joining, sealed to the cluster's key from a key pair
// that serves this one attempt:
//
//	header ‖ the attempt's public key 32 ‖ sealed as a Box does, with secret = HKDF-Extract("skerry 1", X25519(attempt, cluster))
//
// All that follows travels in a Box whose secret comes from both X25519(attempt, cluster) and X25519(node, cluster):
// only who holds the node's private key can answer the challenge, and what was recorded stays closed when that key
// is stolen later. The id names the attempt; it is a level of the topics.

// Joiner is the joining agent's end.
type Joiner struct {
	attempt *ecdh.PrivateKey
	first   *Box
	box     *Box
}

// NewJoiner makes the end of an agent that joins with a key pair of its own, in an attempt with a key pair that
// nobody uses again.
func NewJoiner(attempt, node *ecdh.PrivateKey, public [32]byte, cluster, id string) (*Joiner, error) {
	es, err := exchange(attempt, public)
	if err != nil {
		return nil, err
	}
	ss, err := exchange(node, public)
	if err != nil {
		return nil, err
	}
	first, err := newBox(Node, es, joinContext("first", cluster, id, public[:], attempt.PublicKey().Bytes()))
	if err != nil {
		return nil, err
	}
	box, err := newBox(Node, append(es, ss...),
		joinContext("join", cluster, id, public[:], attempt.PublicKey().Bytes(), node.PublicKey().Bytes()))
	return &Joiner{attempt: attempt, first: first, box: box}, err
}

// Ask seals the first message; its body names the node's public key.
func (j *Joiner) Ask(topic string, sender Run, sequence uint64, body []byte) []byte {
	header := appendHeader(nil, Joining, sender, sequence)
	header = append(header, j.attempt.PublicKey().Bytes()...)
	aead := j.first.sealing.find(j.first, Node, sender, Run{})
	return aead.Seal(header, nonce(sequence), body, associated(header, topic))
}

// Box is for all that follows.
func (j *Joiner) Box() *Box { return j.box }

// OpenJoin opens the first message of an attempt. It proves nothing but that somebody made it for this cluster.
func OpenJoin(cluster *ecdh.PrivateKey, name, id, topic string, raw []byte) (e Envelope, attempt [32]byte, err error) {
	if e, err = Parse(raw); err != nil {
		return Envelope{}, attempt, err
	}
	if e.Version != Joining || len(e.Body) < len(attempt)+chacha20poly1305.Overhead {
		return Envelope{}, attempt, fmt.Errorf("%w: it is not the first message of a joining agent", ErrMalformed)
	}
	copy(attempt[:], e.Body)
	es, err := exchange(cluster, attempt)
	if err != nil {
		return Envelope{}, attempt, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	box, err := newBox(Master, es, joinContext("first", name, id, cluster.PublicKey().Bytes(), attempt[:]))
	if err != nil {
		return Envelope{}, attempt, err
	}
	size := headerSize + len(attempt)
	aead := box.opening.find(box, Node, e.Sender, Run{})
	if e.Body, err = aead.Open(nil, nonce(e.Sequence), raw[size:], associated(raw[:size], topic)); err != nil {
		return Envelope{}, attempt, ErrUnreadable
	}
	return e, attempt, nil
}

// NewJoinBox is the master's end of a Joiner's Box.
func NewJoinBox(cluster *ecdh.PrivateKey, attempt, node [32]byte, name, id string) (*Box, error) {
	es, err := exchange(cluster, attempt)
	if err != nil {
		return nil, err
	}
	ss, err := exchange(cluster, node)
	if err != nil {
		return nil, err
	}
	return newBox(Master, append(es, ss...),
		joinContext("join", name, id, cluster.PublicKey().Bytes(), attempt[:], node[:]))
}

func joinContext(what, cluster, id string, keys ...[]byte) []byte {
	context := []byte("skerry " + what + " 1\x00" + cluster + "\x00" + id + "\x00")
	for _, key := range keys {
		context = append(context, key...)
	}
	return context
}
