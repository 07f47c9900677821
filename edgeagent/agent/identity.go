package agent

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// identity is who the node is. The disk keeps it from before the first attempt to join, so that an attempt whose
// answer was lost is repeated with the same key.
type identity struct {
	Node     string      `json:"node"`
	Cluster  string      `json:"cluster"`
	Brokers  []string    `json:"brokers"`
	CA       seal.CAHash `json:"ca"`
	Exchange [32]byte    `json:"exchange"` // the cluster's public keys
	Signing  [32]byte    `json:"signing"`
	Key      []byte      `json:"key"`                // X25519, private
	Next     []byte      `json:"next,omitempty"`     // the one that follows it; the master may not know it yet
	Password string      `json:"password,omitempty"` // for the broker, of the key before: a file of passwords may have no other
	Joined   bool        `json:"joined"`
	With     string      `json:"with,omitempty"`    // the id of the token to join, or joined, with
	Revoked  int64       `json:"revoked,omitempty"` // when the node was removed from the cluster, Unix seconds of the master
}

// String keeps the keys out of logs.
func (id identity) String() string { return "node " + id.Node + " of cluster " + id.Cluster }

// GoString keeps the keys out of logs.
func (id identity) GoString() string { return id.String() }

// identify is the stored identity, or a new one of the flags when the node has not joined, or was removed and shall
// join again. token is what to join with; nil when the node has joined.
func identify(config Config, stored []byte, random io.Reader) (id identity, token *seal.Token, err error) {
	if stored != nil {
		err := json.Unmarshal(stored, &id)
		if err == nil {
			_, err = privateKey(id.Key)
		}
		if err != nil {
			return identity{}, nil, fmt.Errorf("--data-dir %s: the stored identity is damaged or of an earlier version (%w); remove the file identity there and join again with --join", config.DataDir, err)
		}
		again, err := anew(config, id)
		if err != nil {
			return identity{}, nil, err
		}
		if config.NodeName != "" && config.NodeName != id.Node && id.Joined && !again {
			return identity{}, nil, daemon.Usage(fmt.Errorf("--node-name %s: this data directory belongs to the node %s; give that name, or another --data-dir", config.NodeName, id.Node))
		}
		if id.Joined && !again {
			return id, nil, nil
		}
	}
	if token, err = readJoin(config); err != nil {
		return identity{}, nil, err
	}
	before := id
	id = identity{
		Node: config.NodeName, Cluster: token.Cluster, Brokers: token.Brokers,
		CA: token.CAHash, Exchange: token.Exchange, Signing: token.Signing, With: token.ID(),
	}
	if id.Node == "" {
		id.Node = before.Node // as in the last attempt, though the host may have another name now
	}
	if id.Node == "" {
		if id.Node, err = hostName(); err != nil {
			return identity{}, nil, err
		}
	}
	if before.Key != nil && before.Revoked == 0 && before.Exchange == id.Exchange && before.Node == id.Node {
		id.Key = before.Key
		return id, token, nil
	}
	if id.Key, err = newKey(random); err != nil {
		return identity{}, nil, err
	}
	return id, token, nil
}

// anew reports whether a node that was removed shall join again: with another token than before, for the one that it
// has joined with may just have stayed in its config file.
func anew(config Config, id identity) (bool, error) {
	if id.Revoked == 0 || config.Join == "" {
		return false, nil
	}
	token, err := readJoin(config)
	return err == nil && token.ID() != id.With, err
}

// readJoin reads the token of the flag.
func readJoin(config Config) (*seal.Token, error) {
	if config.Join == "" {
		return nil, daemon.Usage(errors.New("--join is needed until the node has joined; make a token with edgectl token create on the master"))
	}
	text := config.Join
	if path, ok := strings.CutPrefix(text, "@"); ok {
		var err error
		if text, err = readToken(path); err != nil {
			return nil, daemon.Usage(fmt.Errorf("--join @%s: %w", path, err))
		}
	}
	token, err := seal.ParseToken(text)
	if err != nil {
		return nil, daemon.Usage(fmt.Errorf("--join: %w", err))
	}
	return &token, nil
}

func newKey(random io.Reader) ([]byte, error) {
	key, err := ecdh.X25519().GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("make the node's key: %w", err)
	}
	return key.Bytes(), nil
}

func privateKey(raw []byte) (*ecdh.PrivateKey, error) {
	key, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		return nil, errors.New("its key is missing or not one")
	}
	return key, nil
}

// maxTokenFile is more than any token has.
const maxTokenFile = 64 << 10

func readToken(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxTokenFile))
	return string(data), err
}

// keys keep the identity on the disk. They implement masterlink.Keys.
type keys struct {
	keep   func([]byte) error // returns after an fsync
	random io.Reader

	mu sync.Mutex
	id identity
}

// update changes the identity, on the disk first.
func (k *keys) update(change func(*identity) error) error {
	next := k.id
	if err := change(&next); err != nil {
		return err
	}
	data, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the identity: %w", err)
	}
	if err := k.keep(data); err != nil {
		return err
	}
	k.id = next
	return nil
}

// Next implements masterlink.Keys.
func (k *keys) Next() ([32]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.id.Next == nil {
		err := k.update(func(id *identity) (err error) {
			id.Next, err = newKey(k.random)
			return err
		})
		if err != nil {
			return [32]byte{}, err
		}
	}
	return publicOf(k.id.Next)
}

// Use implements masterlink.Keys.
func (k *keys) Use(next [32]byte) (*seal.Box, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, err := publicOf(k.id.Key)
	if err != nil {
		return nil, err
	}
	if now != next {
		made, err := publicOf(k.id.Next)
		if err != nil || made != next {
			return nil, errors.New("the master names a key that this node has not made")
		}
		before, err := k.id.box()
		if err != nil {
			return nil, err
		}
		err = k.update(func(id *identity) error {
			id.Key, id.Next, id.Password = id.Next, nil, before.Password()
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return k.id.box()
}

// Revoked implements masterlink.Keys.
func (k *keys) Revoked(at int64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.update(func(id *identity) error {
		id.Revoked = at
		return nil
	})
}

// joined notes that the master knows the node.
func (k *keys) joined() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.update(func(id *identity) error {
		id.Joined = true
		return nil
	})
}

// begin keeps the identity before the first attempt to join.
func (k *keys) begin() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.update(func(*identity) error { return nil })
}

func publicOf(raw []byte) ([32]byte, error) {
	key, err := privateKey(raw)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(key.PublicKey().Bytes()), nil
}

// box is the node's end of the channel with the master.
func (id identity) box() (*seal.Box, error) {
	key, err := privateKey(id.Key)
	if err != nil {
		return nil, err
	}
	return seal.NewBox(seal.Node, key, id.Exchange, id.Cluster, id.Node)
}

func (id identity) leaderKey() ed25519.PublicKey { return id.Signing[:] }
