package mqtt

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// Expired is a certificate as an authority issues it, which ended in 1999 for whoever looks at dates.
func Expired(t testing.TB, a *ca.Authority, names ...string) *tls.Certificate {
	t.Helper()
	c, err := a.Server(rand.Reader, names, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	template := *c.Leaf
	template.NotAfter = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	der, err := x509.CreateCertificate(rand.Reader, &template, a.Certificate, c.Leaf.PublicKey, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	c.Certificate[0] = der
	if c.Leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if !c.Leaf.NotAfter.Before(time.Now()) {
		t.Fatalf("it ends at %s", c.Leaf.NotAfter)
	}
	return c
}
