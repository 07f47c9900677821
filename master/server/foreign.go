package server

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/skerry-edge/skerry/master/broker"
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
