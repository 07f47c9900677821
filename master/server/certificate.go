package server

import (
	"crypto/rand"
	"crypto/tls"
	"net"
	"slices"
	"sync"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// certificates has the certificate of API and broker, and issues it again when it is about to end, when the clock
// was set, or when a client reaches the machine under an address that it doesn't cover.
type certificates struct {
	authority *ca.Authority
	clock     clock.Source
	log       zerolog.Logger

	mu      sync.Mutex
	names   []string
	dialled []string // addresses of this machine that clients have used and that are not among names, the newest last
	current *tls.Certificate
}

// maxDialled is how many of them are in the certificate: a machine may change its IPv6 addresses every day.
const maxDialled = 16

func newCertificates(authority *ca.Authority, names []string, clock clock.Source, log zerolog.Logger) *certificates {
	return &certificates{authority: authority, clock: clock, log: log, names: names}
}

// get is tls.Config.GetCertificate.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if local, ok := localAddress(hello); ok && !slices.Contains(c.names, local) && !slices.Contains(c.dialled, local) {
		c.dialled = append(c.dialled, local)
		c.dialled = c.dialled[max(0, len(c.dialled)-maxDialled):]
	}
	names := slices.Concat(c.names, c.dialled)
	now := c.clock().Wall
	if c.current != nil && !ca.Stale(c.current.Leaf, now) && covers(c.current, names) {
		return c.current, nil
	}
	certificate, err := c.authority.Server(rand.Reader, names, now)
	if err != nil {
		return nil, err
	}
	c.log.Info().Strs("names", names).Time("until", certificate.Leaf.NotAfter).Msg("server certificate issued")
	c.current = certificate
	return certificate, nil
}

func covers(certificate *tls.Certificate, names []string) bool {
	for _, name := range names {
		if !ca.Covers(certificate.Leaf, name) {
			return false
		}
	}
	return true
}

func localAddress(hello *tls.ClientHelloInfo) (string, bool) {
	if hello.Conn == nil {
		return "", false
	}
	address, ok := hello.Conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return "", false
	}
	return address.IP.String(), true
}
