package authn

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// Signed reports whether a certificate is a client's and of this authority, whatever the time is.
func Signed(leaf *x509.Certificate, authority *x509.Certificate) bool {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil && !leaf.IsCA
}

var errNobody = errors.New("the certificate names nobody, or what is the system's own")

// Person is the user of a certificate that is Signed: the common name, and the organisations as groups.
func Person(leaf *x509.Certificate, now time.Time) (User, error) {
	subject := leaf.Subject
	switch {
	case subject.CommonName == "" || Reserved(subject.CommonName) || slices.ContainsFunc(subject.Organization, Reserved):
		return User{}, errNobody
	case now.After(leaf.NotAfter):
		return User{}, Refusal{fmt.Sprintf("the client certificate of %q ended at %s; ask an administrator for a new one (edgectl user create)",
			subject.CommonName, leaf.NotAfter.UTC().Format(time.RFC3339))}
	case ca.Plausible(now) && now.Before(leaf.NotBefore):
		return User{}, Refusal{fmt.Sprintf("the client certificate of %q begins at %s, and the master's clock shows %s; set the clock, or ask for a new one",
			subject.CommonName, leaf.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))}
	}
	sum := sha256.Sum256(leaf.Raw)
	return User{
		Name: subject.CommonName, Groups: slices.Clone(subject.Organization),
		Extra: map[string][]string{credentialID: {"X509SHA256=" + hex.EncodeToString(sum[:])}},
	}, nil
}
