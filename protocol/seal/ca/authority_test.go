package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/seal"
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
	unset := time.Unix(7, 0)
	for name, c := range map[string]struct {
		issued, now time.Time
		want        bool
	}{
		"just issued":                   {now, now, false},
		"before it ends":                {now, now.Add(ServerLifetime - renewBefore - time.Second), false},
		"it ends soon":                  {now, now.Add(ServerLifetime - renewBefore + time.Second), true},
		"it has ended":                  {now, now.Add(10 * ServerLifetime), true},
		"issued by a clock ahead":       {now.Add(10 * ServerLifetime), now, true},
		"the clock lost its time":       {now, unset, false},
		"issued before the clock's set": {unset, unset.Add(time.Hour), false},
		"the clock has been set":        {unset, now, true},
	} {
		server, err := a.Server(rand.Reader, []string{"localhost"}, c.issued)
		if err != nil {
			t.Fatal(err)
		}
		if got := Stale(server.Leaf, c.now); got != c.want {
			t.Errorf("%s: stale %v, want %v", name, got, c.want)
		}
	}
}

// A server whose clock was never set has a certificate that clients with a right clock accept.
func TestAServerWithoutAClockIsBelieved(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate)
	server, err := a.Server(rand.Reader, []string{"localhost"}, time.Unix(7, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, year := range []int{1970, 2026, 2040} {
		at := time.Date(year, 2, 1, 0, 0, 0, 0, time.UTC)
		if _, err := server.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost", CurrentTime: at}); err != nil {
			t.Errorf("in %d: %v", year, err)
		}
	}
}

// A person's certificate begins when it is signed, ends when it should, is for clients alone, and is of their key; a
// clock that was not set makes one that ends soon after the earliest time that the clock can be set to.
func TestSignedClients(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		issued, at time.Time
		usage      x509.ExtKeyUsage
		good       bool
	}{
		"now":                    {now, now, x509.ExtKeyUsageClientAuth, true},
		"by a clock a bit late":  {now, now.Add(-time.Minute), x509.ExtKeyUsageClientAuth, true},
		"before":                 {now, now.Add(-time.Hour), x509.ExtKeyUsageClientAuth, false},
		"after":                  {now, now.Add(2 * time.Hour), x509.ExtKeyUsageClientAuth, false},
		"as a server":            {now, now, x509.ExtKeyUsageServerAuth, false},
		"unset, in 1970":         {time.Unix(9, 0), time.Unix(99, 0), x509.ExtKeyUsageClientAuth, true},
		"unset, now it is right": {time.Unix(9, 0), now, x509.ExtKeyUsageClientAuth, false},
	} {
		leaf, err := a.SignClient(rand.Reader, key.Public(), "alice", []string{"dev", "ops"}, time.Hour, c.issued)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: c.at, KeyUsages: []x509.ExtKeyUsage{c.usage}}); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if !key.PublicKey.Equal(leaf.PublicKey) || leaf.IsCA || leaf.Subject.CommonName != "alice" || len(leaf.Subject.Organization) != 2 {
			t.Errorf("%s: it is of %v", name, leaf.Subject)
		}
	}
}

// An authority may get another certificate, as long as it has the same key: nodes know the key's hash, and what it has
// signed stays good.
func TestAnotherCertificateOfTheSameKey(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	leaf, err := a.Server(rand.Reader, []string{"localhost"}, time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	template := *a.Certificate
	template.SerialNumber = leaf.Leaf.SerialNumber
	template.NotAfter = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, a.Key.Public(), a.Key)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(renewed, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(again.Certificate)
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost", CurrentTime: time.Unix(5, 0)}); err != nil {
		t.Errorf("what was signed before: %v", err)
	}
	if seal.HashCA(renewed) != seal.HashCA(a.Certificate) {
		t.Error("nodes would not know it")
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
