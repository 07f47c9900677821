package apiserver

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"testing"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// patience is how long a live test waits for what must come.
const patience = 20 * time.Second

// live is an api that listens: TLS, HTTP/2 and all.
type live struct {
	*api
	config rest.Config // of an admin
}

func newLive(t *testing.T, edit ...func(*Config)) *live {
	t.Helper()
	var authority *ca.Authority
	edit = append(edit, func(c *Config) {
		if c.Authority == nil {
			c.Authority = newAuthority(t)
		}
		authority = c.Authority
		certificate, err := authority.Server(rand.Reader, []string{"127.0.0.1"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }
	})
	a := newAPI(t, edit...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.server.Run(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return &live{api: a, config: rest.Config{
		Host: "https://" + listener.Addr().String(), QPS: -1,
		TLSClientConfig: userOf(t, authority, "admin", GroupAdmins),
	}}
}

// client is a client-go of an admin.
func (l *live) client(edit ...func(*rest.Config)) kubernetes.Interface {
	l.t.Helper()
	config := l.config
	for _, e := range edit {
		e(&config)
	}
	transport, err := rest.HTTPClientFor(&config)
	if err != nil {
		l.t.Fatal(err)
	}
	// The server gives connections of HTTP/2 that are open when it ends another second.
	l.t.Cleanup(func() { utilnet.CloseIdleConnectionsFor(transport.Transport) })
	client, err := kubernetes.NewForConfigAndClient(&config, transport)
	if err != nil {
		l.t.Fatal(err)
	}
	return client
}

// bounded is a context for what must not take long.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newAuthority(t testing.TB) *ca.Authority {
	t.Helper()
	authority, err := ca.New(rand.Reader, "test")
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// userOf is what a user of the cluster needs to connect.
func userOf(t *testing.T, authority *ca.Authority, name, group string) rest.TLSClientConfig {
	t.Helper()
	certificate, err := authority.Client(rand.Reader, name, []string{group}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return rest.TLSClientConfig{
		CAData:   encodePEM("CERTIFICATE", authority.Certificate.Raw),
		CertData: encodePEM("CERTIFICATE", certificate.Certificate[0]),
		KeyData:  encodePEM("PRIVATE KEY", key),
	}
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
