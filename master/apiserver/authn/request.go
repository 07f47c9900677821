package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Bounds of a Request.
const (
	MaxRequest = 16 << 10 // bytes of PEM
	maxGroups  = 32
	maxName    = 253
	minRSA     = 2048
	maxRSA     = 4096
)

// Request is who wants a certificate, and the key that it shall be for.
type Request struct {
	Name   string
	Groups []string
	Key    crypto.PublicKey
}

// Object identifiers of what a subject may consist of.
var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidOrganization = asn1.ObjectIdentifier{2, 5, 4, 10}
)

// ParseRequest reads a PKCS #10 certificate request in PEM. Whoever sends it has the key. What would not be in the
// certificate is refused, not left out.
func ParseRequest(text []byte) (Request, error) {
	if len(text) > MaxRequest {
		return Request{}, fmt.Errorf("it has more than %d bytes", MaxRequest)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(strings.TrimSpace(string(rest))) > 0 {
		return Request{}, errors.New("it is not one PEM block CERTIFICATE REQUEST")
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return Request{}, fmt.Errorf("it does not parse: %w", err)
	}
	if err := checkKey(r.PublicKey); err != nil {
		return Request{}, err
	}
	if err := r.CheckSignature(); err != nil {
		return Request{}, errors.New("it is not signed by its own key")
	}
	if len(r.Extensions) > 0 {
		return Request{}, errors.New("it asks for extensions; a user's certificate has none but those that the master gives")
	}
	names := 0
	for _, part := range r.Subject.Names {
		switch {
		case part.Type.Equal(oidCommonName):
			names++
		case !part.Type.Equal(oidOrganization):
			return Request{}, fmt.Errorf("its subject has %s; it must consist of CN (the user) and O (groups)", part.Type)
		}
	}
	if names != 1 {
		return Request{}, fmt.Errorf("its subject has %d common names; CN is the user, of whom there is one", names)
	}
	if err := CheckName(r.Subject.CommonName); err != nil {
		return Request{}, fmt.Errorf("user: %w", err)
	}
	if len(r.Subject.Organization) > maxGroups {
		return Request{}, fmt.Errorf("it names %d groups; at most %d", len(r.Subject.Organization), maxGroups)
	}
	for _, group := range r.Subject.Organization {
		if err := CheckName(group); err != nil {
			return Request{}, fmt.Errorf("group: %w", err)
		}
	}
	return Request{Name: r.Subject.CommonName, Groups: r.Subject.Organization, Key: r.PublicKey}, nil
}

func checkKey(key any) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize >= 256 {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n >= minRSA && n <= maxRSA {
			return nil
		}
	}
	return fmt.Errorf("its key must be ECDSA from P-256 on, Ed25519, or RSA of %d to %d bits", minRSA, maxRSA)
}

// CheckName says why nobody may be given this name of a user or group.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name has more than %d bytes", maxName)
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%q has characters that don't print, or begins or ends with a space", name)
	case Reserved(name):
		return fmt.Errorf("%q begins with \"system:\", which are the system's own names", name)
	}
	return nil
}
