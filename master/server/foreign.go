package server

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/master/broker"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Authorities that a foreign broker's certificate may be of.
const (
	caSystem  = "system"  // those that the operating system knows; dates are looked at
	caCluster = "cluster" // the cluster's own, as edgectl broker config makes one; dates are not looked at
)

func checkBrokerCA(text string) error {
	if text != caSystem && text != caCluster {
		return fmt.Errorf("%q is neither %s nor %s", text, caSystem, caCluster)
	}
	return nil
}

// accountPassword is that of an account on a foreign broker which is no node's: the masters' and the one that joins.
// It follows from the cluster's key, so that nobody has to carry it around, and says nothing about the key.
func (id identity) accountPassword(user string) (string, error) {
	key, err := hkdf.Key(sha256.New, id.keys.Exchange.Bytes(), nil, "skerry broker account 1\x00"+user, 24)
	if err != nil {
		return "", fmt.Errorf("derive the password of %s: %w", user, err)
	}
	return base64.RawURLEncoding.EncodeToString(key), nil
}

// masterAccount is what a master shows a foreign broker unless the URL names another account.
func (id identity) masterAccount() (user, password string, err error) {
	password, err = id.accountPassword(broker.MasterUser)
	return broker.MasterUser, password, err
}

// brokerAccess implements apiserver.Broker.
type brokerAccess struct {
	store store.Store
	id    identity
}

var _ apiserver.Broker = brokerAccess{}

// Access implements apiserver.Broker.
func (b brokerAccess) Access(names []string) (apiserver.BrokerAccess, error) {
	out := apiserver.BrokerAccess{Cluster: b.id.cluster}
	for _, name := range names {
		if err := checkAdvertised(name); err != nil {
			return out, fmt.Errorf("names: %w", err)
		}
	}
	for _, special := range []struct{ name, role string }{{broker.MasterUser, "master"}, {seal.JoinUser, "join"}} {
		password, err := b.id.accountPassword(special.name)
		if err != nil {
			return out, err
		}
		out.Accounts = append(out.Accounts, apiserver.BrokerAccount{Name: special.name, Role: special.role, Password: password})
	}
	for rec := range b.store.View().List(resource.NodeKeyKind, "") {
		key, err := resource.DecodeNodeKey(rec.Value)
		if err != nil {
			continue
		}
		// One that was removed keeps its account, to be told so: the master hears nothing else of it.
		box, err := seal.NewBox(seal.Master, b.id.keys.Exchange, key.Key, b.id.cluster, rec.Key.Name)
		if err != nil {
			return out, fmt.Errorf("the key of %s: %w", rec.Key.Name, err)
		}
		out.Accounts = append(out.Accounts, apiserver.BrokerAccount{Name: rec.Key.Name, Role: "node", Password: box.Password()})
	}
	certificate, err := b.id.ca.Broker(rand.Reader, names, daemon.Clock().Wall)
	if err != nil {
		return out, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return out, fmt.Errorf("encode the broker's key: %w", err)
	}
	for _, der := range certificate.Certificate {
		out.Certificate += string(pem.EncodeToMemory(&pem.Block{Type: blockCert, Bytes: der}))
	}
	out.Key = string(pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: key}))
	return out, nil
}
