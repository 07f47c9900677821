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
	current *tls.Certificate
}

func newCertificates(authority *ca.Authority, names []string, clock clock.Source, log zerolog.Logger) *certificates {
	return &certificates{authority: authority, clock: clock, log: log, names: names}
}

// get is tls.Config.GetCertificate.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The address that the client has dialled is one of this machine's, so there are few of them.
	if local, ok := localAddress(hello); ok && !slices.Contains(c.names, local) {
		c.names = append(c.names, local)
	}
	now := c.clock().Wall
	if c.current != nil && !ca.Stale(c.current.Leaf, ca.ServerLifetime, now) && c.covered() {
		return c.current, nil
	}
	certificate, err := c.authority.Server(rand.Reader, c.names, now)
	if err != nil {
		return nil, err
	}
	c.log.Info().Strs("names", c.names).Time("until", certificate.Leaf.NotAfter).Msg("server certificate issued")
	c.current = certificate
	return certificate, nil
}

func (c *certificates) covered() bool {
	for _, name := range c.names {
		if !ca.Covers(c.current.Leaf, name) {
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
