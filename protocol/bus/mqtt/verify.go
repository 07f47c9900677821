package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// tlsConfig verifies a broker that is reached under this host name or address.
func tlsConfig(host string, pinned seal.CAHash) *tls.Config {
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if !pinned.IsZero() {
		config.InsecureSkipVerify = true // VerifyPinned does it
		config.VerifyConnection = func(state tls.ConnectionState) error {
			return ca.VerifyPinned(state.PeerCertificates, host, pinned)
		}
	}
	return config
}

// refusesAccount reports whether a broker does not accept user or password.
func refusesAccount(err error) bool {
	return errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) || errors.Is(err, packets.ErrorRefusedNotAuthorised)
}

// explain turns the error of an attempt, or of a connection's end, into one line with what to do.
func explain(broker Broker, err error) error {
	var (
		unknownCA *x509.UnknownAuthorityError
		badCA     x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		dns       *net.DNSError
	)
	say := func(format string, args ...any) error {
		return fmt.Errorf("broker %s: "+format+"%w", append(append([]any{broker}, args...), silent{err})...)
	}
	switch {
	case refusesAccount(err):
		return say("it refuses the user name or password: correct the account in the broker's URL, if one stands there; let a broker of your own know this node (edgectl broker config); or, if the node or its join token is of another cluster, join again with a new token")
	case errors.Is(err, packets.ErrorRefusedServerUnavailable):
		return say("it has no room for another connection")
	case errors.As(err, &unknownCA), errors.As(err, &badCA):
		return say("its certificate is signed by an unknown authority; add that to the system's (or name its file in SSL_CERT_FILE)")
	case errors.As(err, &hostname):
		return say("its certificate is for another name: %v; use a name that the certificate has, or start the master with --advertise %s", hostname, broker.url.Hostname())
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return say("its certificate is out of date, or this machine's clock is wrong (it says %s)", time.Now().UTC().Format(time.DateTime))
	case errors.As(err, &record):
		return say("it does not speak TLS on that port; check the port, or write tcp:// to go without encryption")
	case errors.As(err, &dns) && dns.IsNotFound:
		return say("the host name is not known; check it, and this machine's DNS")
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("nothing listens there; check the address, and that the broker runs")
	case errors.Is(err, errNoAnswer), errors.Is(err, os.ErrDeadlineExceeded):
		return say("it does not answer; check the address, the network and firewalls")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed), errors.Is(err, errClosed):
		return say("the connection was closed")
	case errors.Is(err, paho.ErrNotConnected):
		return say("the connection was lost")
	}
	return fmt.Errorf("broker %s: %w", broker, err)
}

// silent keeps the original error in the chain, but out of the text.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }
