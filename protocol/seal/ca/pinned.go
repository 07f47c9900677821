package ca

import (
	"crypto/x509"
	"errors"

	"github.com/skerry-edge/skerry/protocol/seal"
)

// ErrOther says that a server's certificate is not of the authority that was pinned.
var ErrOther = errors.New("its certificate is not signed by this cluster's authority: it belongs to another cluster, or somebody is in between; check the address, or join again with a new token")

// VerifyPinned checks everything that the usual verification of a server does, against an authority that is known by its
// hash and comes along in the chain, but for the dates: a device without a clock wakes in 1970.
func VerifyPinned(chain []*x509.Certificate, host string, pinned seal.CAHash) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	var authority *x509.Certificate
	for _, c := range chain[min(1, len(chain)):] {
		if authority == nil && seal.HashCA(c) == pinned {
			authority = c
			roots.AddCert(c)
			continue
		}
		intermediates.AddCert(c)
	}
	if authority == nil {
		return ErrOther
	}
	at := chain[0].NotBefore // a moment at which the certificates are valid
	if authority.NotBefore.After(at) {
		at = authority.NotBefore
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		DNSName: host, Roots: roots, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}
