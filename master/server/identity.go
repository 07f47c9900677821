package server

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// identityFile holds the cluster's secrets as PEM blocks, in this order: X25519 key, Ed25519 key, the authority's
// key, its certificate. Files of early versions have a fifth one, which is not used any more.
const identityFile = "cluster.pem"

const (
	maxIdentity    = 64 << 10
	blockKey       = "PRIVATE KEY" // PKCS #8
	blockCert      = "CERTIFICATE"
	headerCluster  = "Cluster" // of the first block
	identityBlocks = 4
)

// identity is what makes a cluster this cluster.
type identity struct {
	cluster string
	keys    seal.Keys
	ca      *ca.Authority
	made    bool // by this start: the cluster is new
}

// openIdentity reads the identity of a directory, or makes it.
func openIdentity(dir, cluster string) (id identity, err error) {
	path := filepath.Join(dir, identityFile)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = newIdentity(rand.Reader, cluster)
		if err == nil {
			id.made = true
			err = id.keep(path)
		}
		return id, err
	}
	if err != nil {
		return identity{}, fmt.Errorf("read the cluster's keys: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxIdentity))
	if err != nil {
		return identity{}, fmt.Errorf("read the cluster's keys: %w", err)
	}
	if id, err = parseIdentity(data); err != nil {
		return identity{}, fmt.Errorf("the cluster's keys in %s are unusable: %w; restore the file from a backup", path, err)
	}
	if id.cluster != cluster {
		return identity{}, daemon.Usage(fmt.Errorf("--cluster-name %s: the data directory %s belongs to the cluster %s; give that name, or another directory", cluster, dir, id.cluster))
	}
	return id, nil
}

func newIdentity(random io.Reader, cluster string) (identity, error) {
	keys, err := seal.NewKeys(random)
	if err != nil {
		return identity{}, err
	}
	authority, err := ca.New(random, cluster)
	if err != nil {
		return identity{}, err
	}
	return identity{cluster: cluster, keys: keys, ca: authority}, nil
}

func (id identity) keep(path string) error {
	var out []byte
	for i, key := range []any{id.keys.Exchange, id.keys.Signing, id.ca.Key} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return fmt.Errorf("encode the cluster's keys: %w", err)
		}
		block := &pem.Block{Type: blockKey, Bytes: der}
		if i == 0 {
			block.Headers = map[string]string{headerCluster: id.cluster}
		}
		out = append(out, pem.EncodeToMemory(block)...)
	}
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: blockCert, Bytes: id.ca.Certificate.Raw})...)
	return daemon.WriteFile(path, out, 0o600)
}

func parseIdentity(data []byte) (identity, error) {
	var blocks []*pem.Block
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	if len(blocks) < identityBlocks || blocks[3].Type != blockCert {
		return identity{}, fmt.Errorf("it does not consist of the %d blocks that it should", identityBlocks)
	}
	var keys [3]any
	for i := range keys {
		var err error
		if keys[i], err = x509.ParsePKCS8PrivateKey(blocks[i].Bytes); err != nil {
			return identity{}, fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	id := identity{cluster: blocks[0].Headers[headerCluster]}
	var isExchange, isSigning bool
	id.keys.Exchange, isExchange = keys[0].(*ecdh.PrivateKey)
	id.keys.Signing, isSigning = keys[1].(ed25519.PrivateKey)
	if !isExchange || !isSigning || id.keys.Exchange.Curve() != ecdh.X25519() {
		return identity{}, errors.New("its keys are not of the right kinds")
	}
	certificate, err := x509.ParseCertificate(blocks[3].Bytes)
	if err != nil {
		return identity{}, fmt.Errorf("certificate: %w", err)
	}
	id.ca, err = ca.Load(certificate, keys[2])
	return id, err
}

// sign signs what the leader announces.
func (id identity) sign(message []byte) []byte { return ed25519.Sign(id.keys.Signing, message) }
