package authn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

var now = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

func authority(t testing.TB) *ca.Authority {
	t.Helper()
	a, err := ca.New(rand.Reader, "home")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Only client certificates of the cluster's own authority count, also one that calls itself the same.
func TestWhoseCertificatesCount(t *testing.T) {
	t.Parallel()
	ours, theirs := authority(t), authority(t)
	key := newKey(t)
	person, err := ours.SignClient(rand.Reader, key.Public(), "alice", nil, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := theirs.SignClient(rand.Reader, newKey(t).Public(), "alice", nil, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ours.Server(rand.Reader, []string{"master"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		leaf *x509.Certificate
		want bool
	}{
		"a person":              {person, true},
		"of another authority":  {stranger, false},
		"a server":              {server.Leaf, false},
		"the authority itself":  {ours.Certificate, false},
		"the other one itself":  {theirs.Certificate, false},
		"made by a person":      {signedBy(t, person, key, "mallory"), false},
		"made by nobody at all": {signedBy(t, nil, nil, "mallory"), false},
	} {
		if got := Signed(c.leaf, ours.Certificate); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// signedBy is a certificate signed by whom it should not count from; by itself without an issuer.
func signedBy(t *testing.T, issuer *x509.Certificate, signer *ecdsa.PrivateKey, name string) *x509.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{"skerry:admins"}}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, SerialNumber: big.NewInt(7),
	}
	if issuer == nil {
		issuer, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// A person is who the certificate says, as long as it lasts; a clock that was not set locks nobody out, and nobody is
// one of the system's own.
func TestPerson(t *testing.T) {
	t.Parallel()
	a := authority(t)
	for name, c := range map[string]struct {
		user   string
		groups []string
		issued time.Time
		at     time.Time
		why    string // of a refusal; "nobody": without one; empty: let in
	}{
		"good":                       {"alice", []string{"dev"}, now, now, ""},
		"ended":                      {"alice", nil, now, now.Add(2 * time.Hour), `the client certificate of "alice" ended at 2030-06-01T13:00:00Z`},
		"the clock stands at 1970":   {"alice", nil, now, time.Unix(60, 0), ""},
		"ended, and clock at 1970":   {"alice", nil, now.AddDate(-1, 0, 0), time.Unix(60, 0), ""},
		"made by a clock years off":  {"alice", nil, now.AddDate(8, 0, 0), now, "begins at 2038-06-01T11:55:00Z"},
		"made before the clock came": {"alice", nil, time.Unix(60, 0), now, "ended at 2026-01-01T01:00:00Z"},
		"no name":                    {"", []string{"dev"}, now, now, "nobody"},
		"system's group":             {"alice", []string{"dev", "system:masters"}, now, now, "nobody"},
		"a service account's name":   {"system:serviceaccount:kube-system:admin", nil, now, now, "nobody"},
	} {
		leaf, err := a.SignClient(rand.Reader, newKey(t).Public(), c.user, c.groups, time.Hour, c.issued)
		if err != nil {
			t.Fatal(err)
		}
		u, err := Person(leaf, c.at)
		var refusal Refusal
		switch {
		case c.why == "" && (err != nil || u.Name != c.user || !slices.Equal(u.Groups, c.groups) || !strings.HasPrefix(u.Extra[credentialID][0], "X509SHA256=")):
			t.Errorf("%s: %v, %v", name, u, err)
		case c.why == "nobody" && (err == nil || errors.As(err, &refusal)):
			t.Errorf("%s: %v, %v", name, u, err)
		case c.why != "" && c.why != "nobody" && (!errors.As(err, &refusal) || !strings.Contains(refusal.Why, c.why)):
			t.Errorf("%s: %v, %v", name, u, err)
		}
	}
}

// request is a certificate request in PEM.
func request(t testing.TB, key any, subject pkix.Name, edit ...func(*x509.CertificateRequest)) []byte {
	t.Helper()
	r := &x509.CertificateRequest{Subject: subject}
	for _, e := range edit {
		e(r)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, r, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// What is asked for is what is given, or it is refused: no request leads to the system's own names, to a weak key or to
// a certificate with more than a name and groups.
func TestRequests(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	alice := pkix.Name{CommonName: "alice", Organization: []string{"dev", "skerry:viewers"}}
	good := request(t, key, alice)
	r, err := ParseRequest(good)
	if err != nil || r.Name != "alice" || !slices.Equal(r.Groups, alice.Organization) || !key.PublicKey.Equal(r.Key) {
		t.Errorf("%v, %v", r, err)
	}
	forged := pemOf(t, good)
	forged[len(forged)-1] ^= 1
	for name, c := range map[string]struct {
		text []byte
		why  string
	}{
		"nothing":        {nil, "not one PEM block"},
		"a key":          {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}), "not one PEM block"},
		"two":            {append(slices.Clone(good), good...), "not one PEM block"},
		"too large":      {make([]byte, MaxRequest+1), "more than 16384 bytes"},
		"cut off":        {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: pemOf(t, good)[:40]}), "does not parse"},
		"another's key":  {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: forged}), "not signed by its own key"},
		"a weak key":     {request(t, weak, alice), "RSA of 2048 to 4096"},
		"system:masters": {request(t, key, pkix.Name{CommonName: "alice", Organization: []string{"system:masters"}}), `group: "system:masters" begins with "system:"`},
		"an account":     {request(t, key, pkix.Name{CommonName: "system:serviceaccount:a:b"}), "user: "},
		"no name":        {request(t, key, pkix.Name{Organization: []string{"dev"}}), "0 common names"},
		"an empty name":  {request(t, key, pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidCommonName, Value: ""}}}), "the name is empty"},
		"two names": {request(t, key, pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: oidCommonName, Value: "a"}, {Type: oidCommonName, Value: "b"}}}),
			"2 common names"},
		"a line break":   {request(t, key, pkix.Name{CommonName: "a\nb"}), "don't print"},
		"a unit too":     {request(t, key, pkix.Name{CommonName: "alice", OrganizationalUnit: []string{"x"}}), "CN (the user) and O (groups)"},
		"a DNS name too": {request(t, key, alice, func(r *x509.CertificateRequest) { r.DNSNames = []string{"master"} }), "extensions"},
		"a long name":    {request(t, key, pkix.Name{CommonName: strings.Repeat("a", maxName+1)}), "more than 253 bytes"},
		"many groups":    {request(t, key, pkix.Name{CommonName: "a", Organization: strings.Split(strings.Repeat("g,", maxGroups), ",")}), "names 33 groups"},
	} {
		if r, err := ParseRequest(c.text); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

func pemOf(t testing.TB, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	return slices.Clone(block.Bytes)
}

// No request makes the parser fall over.
func FuzzRequest(f *testing.F) {
	f.Add(request(f, newKey(f), pkix.Name{CommonName: "alice", Organization: []string{"dev"}}))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := ParseRequest(text); err == nil && (CheckName(r.Name) != nil || slices.ContainsFunc(r.Groups, Reserved)) {
			t.Errorf("it is %v", r)
		}
	})
}
