// Package sealtest has keys for tests: always the same ones for the same names.
package sealtest

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"github.com/skerry-edge/skerry/protocol/seal"
)

// Cluster is a cluster with its keys.
type Cluster struct {
	Name string
	Keys seal.Keys
}

// NewCluster returns the cluster of this name.
func NewCluster(name string) Cluster {
	first, second := sha256.Sum256([]byte("exchange "+name)), sha256.Sum256([]byte("signing "+name))
	keys, err := seal.NewKeys(bytes.NewReader(append(first[:], second[:]...)))
	if err != nil {
		panic(err) // there are enough bytes
	}
	return Cluster{Name: name, Keys: keys}
}

// Sign signs what a leader announces.
func (c Cluster) Sign(message []byte) []byte { return ed25519.Sign(c.Keys.Signing, message) }

// Verify is the key to what Sign does.
func (c Cluster) Verify() ed25519.PublicKey { return c.Keys.Signing.Public().(ed25519.PublicKey) }

// Node is a node's keys, which outlive the runs of its agent.
type Node struct {
	Cluster   Cluster
	Name      string
	Made      int   // pairs
	RevokedAt int64 // what the agent was told, 0: nothing

	seed      string
	key, next *ecdh.PrivateKey
	ever      []*seal.Box
}

// NewNode returns the node of this name, with its first key pair.
func (c Cluster) NewNode(name string) *Node { return c.AnotherNode(name, name) }

// AnotherNode returns a node of this name that is another one for each seed.
func (c Cluster) AnotherNode(name, seed string) *Node {
	n := &Node{Cluster: c, Name: name, seed: seed}
	n.key = n.make()
	return n
}

// Copy returns what a copy of the node's disk has: the same keys up to now, and others from now on.
func (n *Node) Copy(seed string) *Node {
	c := *n
	c.seed = seed
	return &c
}

func (n *Node) make() *ecdh.PrivateKey {
	n.Made++
	seed := sha256.Sum256(fmt.Appendf(nil, "node %s %s %d", n.Cluster.Name, n.seed, n.Made))
	key, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		panic(err) // any 32 bytes are a key
	}
	n.ever = append([]*seal.Box{n.box(key)}, n.ever...)
	return key
}

func public(key *ecdh.PrivateKey) [32]byte { return [32]byte(key.PublicKey().Bytes()) }

// Public is the public key in force.
func (n *Node) Public() [32]byte { return public(n.key) }

// Ever are the node's ends of all pairs that it made, the newest first.
func (n *Node) Ever() []*seal.Box { return n.ever }

// Box is the node's end.
func (n *Node) Box() *seal.Box { return n.box(n.key) }

func (n *Node) box(key *ecdh.PrivateKey) *seal.Box {
	cluster, _ := n.Cluster.Keys.Public()
	return must(seal.NewBox(seal.Node, key, cluster, n.Cluster.Name, n.Name))
}

// Master is the master's end.
func (n *Node) Master() *seal.Box {
	return must(seal.NewBox(seal.Master, n.Cluster.Keys.Exchange, n.Public(), n.Cluster.Name, n.Name))
}

func must(box *seal.Box, err error) *seal.Box {
	if err != nil {
		panic(err) // the keys are good ones
	}
	return box
}

// Next is as masterlink.Keys has it.
func (n *Node) Next() ([32]byte, error) {
	if n.next == nil {
		n.next = n.make()
	}
	return public(n.next), nil
}

// Use is as masterlink.Keys has it.
func (n *Node) Use(next [32]byte) (*seal.Box, error) {
	switch {
	case n.next != nil && public(n.next) == next:
		n.key, n.next = n.next, nil
	case n.Public() != next:
		return nil, fmt.Errorf("%s has not made the key %x", n.Name, next[:4])
	}
	return n.Box(), nil
}

// Revoked is as masterlink.Keys has it.
func (n *Node) Revoked(at int64) error {
	n.RevokedAt = at
	return nil
}
