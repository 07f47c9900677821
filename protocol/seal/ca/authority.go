package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"time"
)

// Lifetimes.
const (
	ServerLifetime = 365 * 24 * time.Hour
	ClientLifetime = 10 * 365 * 24 * time.Hour // of an administrator's certificate that a master makes for itself
	renewBefore    = 30 * 24 * time.Hour
	// skew is how much the clock may run ahead when a certificate is made that begins then.
	skew = 5 * time.Minute
)

var (
	// begin is before every clock's reading.
	begin = time.Unix(0, 0).UTC()
	// forever is RFC 5280's (section 4.1.2.5) "no well-defined expiration date".
	forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	// plausible: a clock that is earlier was never set.
	plausible = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	// unsetEnd is when a server's certificate ends that was made while the clock was not set: late enough for every
	// client whose clock is right. It is made anew once the clock is set.
	unsetEnd = plausible.Add(20 * 365 * 24 * time.Hour)
)

// Plausible reports whether a clock that shows this may have been set: it shows no time before Skerry was written.
func Plausible(now time.Time) bool { return !now.Before(plausible) }

// Authority signs certificates.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer // ECDSA P-256
}

// New makes an authority for a cluster.
func New(random io.Reader, cluster string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("make the CA's key: %w", err)
	}
	serial, err := newSerial(random)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"skerry"}, CommonName: "Skerry cluster " + cluster},
		NotBefore:             begin,
		NotAfter:              forever,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the CA's certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the CA's certificate: %w", err)
	}
	return &Authority{Certificate: certificate, Key: key}, nil
}

// Load is the authority of a stored certificate and key.
func Load(certificate *x509.Certificate, key any) (*Authority, error) {
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the CA's key is a %T, not an ECDSA key", key)
	}
	if !signer.PublicKey.Equal(certificate.PublicKey) || !certificate.IsCA {
		return nil, errors.New("the CA's key and certificate don't belong together")
	}
	return &Authority{Certificate: certificate, Key: signer}, nil
}

// Server issues a certificate for a server that is reached under these DNS names and IP addresses.
func (a *Authority) Server(random io.Reader, names []string, now time.Time) (*tls.Certificate, error) {
	return a.server(random, "skerry-master", names, serverEnd(now))
}

// serverEnd is when a server's certificate ends that is issued now.
func serverEnd(now time.Time) time.Time {
	if !Plausible(now) {
		return unsetEnd
	}
	return now.Add(ServerLifetime)
}

func (a *Authority) server(random io.Reader, who string, names []string, end time.Time) (*tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"skerry"}, CommonName: who},
		NotAfter:    end,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return a.issue(random, template)
}

// Broker issues a certificate for a broker that is not a master's. It lasts, for nobody renews it: nodes and masters
// know the authority by its hash and look at no dates.
func (a *Authority) Broker(random io.Reader, names []string, now time.Time) (*tls.Certificate, error) {
	return a.server(random, "skerry-broker", names, now.Add(ClientLifetime))
}

// Client issues a certificate for a user of the API: the user is its common name, groups are its organizations,
// as Kubernetes has it.
func (a *Authority) Client(random io.Reader, user string, groups []string, now time.Time) (*tls.Certificate, error) {
	if now.Before(plausible) {
		now = plausible
	}
	return a.issue(random, &x509.Certificate{
		Subject:     pkix.Name{Organization: groups, CommonName: user},
		NotAfter:    now.Add(ClientLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// Stale reports whether a server's certificate should be issued again: it ends soon or has ended, or it ends later than
// any that is issued now, which means that the clock has been wrong.
func Stale(certificate *x509.Certificate, now time.Time) bool {
	return Plausible(now) && // a clock that is not set says nothing
		(now.After(certificate.NotAfter.Add(-renewBefore)) || certificate.NotAfter.After(serverEnd(now).Add(renewBefore)))
}

// Covers reports whether a certificate is good for a DNS name or IP address.
func Covers(certificate *x509.Certificate, name string) bool {
	if ip := net.ParseIP(name); ip != nil {
		return slices.ContainsFunc(certificate.IPAddresses, ip.Equal)
	}
	return certificate.VerifyHostname(name) == nil
}

// SignClient signs the certificate of a person who has made their key themselves; the authority sees its public half
// alone. It begins now, so that a clock that ran years ahead makes none that lasts for years after it was put right.
func (a *Authority) SignClient(random io.Reader, key crypto.PublicKey, user string, groups []string, lifetime time.Duration, now time.Time) (*x509.Certificate, error) {
	start := now.Add(-skew)
	if !Plausible(now) {
		start, now = begin, plausible
	}
	return a.sign(random, key, &x509.Certificate{
		Subject:     pkix.Name{Organization: groups, CommonName: user},
		NotBefore:   start,
		NotAfter:    now.Add(lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// issue makes a key and a certificate of it.
func (a *Authority) issue(random io.Reader, template *x509.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("make a certificate's key: %w", err)
	}
	template.NotBefore = begin
	leaf, err := a.sign(random, key.Public(), template)
	if err != nil {
		return nil, err
	}
	// The authority's own certificate goes along: nodes know only its hash.
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, a.Certificate.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func (a *Authority) sign(random io.Reader, key crypto.PublicKey, template *x509.Certificate) (leaf *x509.Certificate, err error) {
	if template.SerialNumber, err = newSerial(random); err != nil {
		return nil, err
	}
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(random, template, a.Certificate, key, a.Key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	return leaf, nil
}

func newSerial(random io.Reader) (*big.Int, error) {
	var raw [16]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return nil, fmt.Errorf("read random bytes for a serial number: %w", err)
	}
	raw[0] &= 0x7f // positive
	raw[15] |= 1   // not zero
	return new(big.Int).SetBytes(raw[:]), nil
}
