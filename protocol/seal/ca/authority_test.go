package ca

import (
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"
)

func newAuthority(t *testing.T) *Authority {
	t.Helper()
	a, err := New(rand.Reader, "default")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Both ends with clocks from 1970 to 2150 accept what the authority issues, as long as a client certificate lasts.
func TestCertificatesVerify(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate)
	now := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)

	server, err := a.Server(rand.Reader, []string{"master.example", "192.0.2.7", "2001:db8::7"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"master.example", "192.0.2.7", "2001:db8::7"} {
		options := x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: time.Unix(5, 0)}
		if _, err := server.Leaf.Verify(options); err != nil {
			t.Errorf("as %s in 1970: %v", name, err)
		}
		if !Covers(server.Leaf, name) {
			t.Errorf("the certificate does not cover %s", name)
		}
	}
	for _, name := range []string{"other.example", "192.0.2.8"} {
		if Covers(server.Leaf, name) {
			t.Errorf("the certificate covers %s", name)
		}
	}
	if _, err := server.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("the server's certificate passes as a client's")
	}

	client, err := a.Client(rand.Reader, "admin", []string{"skerry:admins"}, time.Unix(5, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{time.Unix(6, 0), now} {
		if _, err := client.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("client certificate, issued in 1970, at %s: %v", at, err)
		}
	}
	if s := client.Leaf.Subject; s.CommonName != "admin" || len(s.Organization) != 1 || s.Organization[0] != "skerry:admins" {
		t.Errorf("subject %v", s)
	}
	if _, err := a.Certificate.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Errorf("the CA in 2150: %v", err)
	}
}

func TestServerCertificatesAreRenewed(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	now := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	server, err := a.Server(rand.Reader, []string{"localhost"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{
		{0, false},
		{ServerLifetime - renewBefore - time.Second, false},
		{ServerLifetime - renewBefore + time.Second, true}, // ends soon
		{10 * ServerLifetime, true},                        // has ended
		{-10 * ServerLifetime, true},                       // was issued by a clock that ran ahead
	} {
		if got := Stale(server.Leaf, ServerLifetime, now.Add(c.after)); got != c.want {
			t.Errorf("after %s: stale %v, want %v", c.after, got, c.want)
		}
	}
}

func TestLoadWantsMatchingParts(t *testing.T) {
	t.Parallel()
	a, b := newAuthority(t), newAuthority(t)
	if _, err := Load(a.Certificate, a.Key); err != nil {
		t.Error(err)
	}
	if _, err := Load(a.Certificate, b.Key); err == nil {
		t.Error("another authority's key was accepted")
	}
	leaf, err := a.Server(rand.Reader, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(leaf.Leaf, leaf.PrivateKey); err == nil {
		t.Error("a server's certificate passes as a CA's")
	}
}
