package etcdsync

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
	"github.com/skerry-edge/skerry/test/lab"
)

// problem is what a master says of an etcd that it can't use.
func problem(t *testing.T, server Server) string {
	t.Helper()
	s := New(Config{Server: server, Cluster: "test", Clock: daemon.Clock, Logger: zerolog.Nop()})
	var said error
	eventually(t, "it says why", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, said = s.askOnce(ctx)
		if said == nil {
			return errors.New("it has reached etcd")
		}
		return nil
	})
	return said.Error()
}

// reaches reports whether a master can use an etcd.
func reaches(t *testing.T, server Server) {
	t.Helper()
	s := New(Config{Server: server, Cluster: "test", Clock: daemon.Clock, Logger: zerolog.Nop()})
	eventually(t, "etcd answers", func() error {
		_, err := s.askOnce(t.Context())
		return err
	})
}

func authority(t *testing.T) *ca.Authority {
	t.Helper()
	a, err := ca.New(rand.Reader, "etcd")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func pool(a *ca.Authority) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Certificate)
	return p
}

// writePair keeps a certificate and its key where etcd reads them.
func writePair(t *testing.T, dir string, pair *tls.Certificate, a *ca.Authority) (cert, key, root string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, root = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}, root: {Type: "CERTIFICATE", Bytes: a.Certificate.Raw},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, root
}

// With TLS each thing that can be wrong is told by its own words, with the flag that mends it.
func TestTLS(t *testing.T) {
	t.Parallel()
	trusted, other := authority(t), authority(t)
	pair, err := trusted.Server(rand.Reader, []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, root := writePair(t, t.TempDir(), pair, trusted)
	e := prepareEtcd(t, 1, "--cert-file", cert, "--key-file", key, "--trusted-ca-file", root, "--client-cert-auth")
	e.members[0].useTLS()
	e.start(e.members[0])
	mine, err := trusted.Client(rand.Reader, "master", nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	with := func(roots *x509.CertPool, certificates ...tls.Certificate) Server {
		return Server{Endpoints: e.urls(), TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: certificates}}
	}
	reaches(t, with(pool(trusted), *mine))
	for name, c := range map[string]struct {
		server Server
		want   string
	}{
		"another authority": {with(pool(other), *mine), "--etcd-cacert"},
		"no certificate":    {with(pool(trusted)), "--etcd-cert and --etcd-key"},
	} {
		if got := problem(t, c.server); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	plain := startEtcd(t, 1)
	if got := problem(t, Server{Endpoints: []string{strings.Replace(e.urls()[0], "https://", "http://", 1)}}); !strings.Contains(got, "write https:// in --etcd") {
		t.Errorf("etcd with TLS: %s", got)
	}
	if got := problem(t, Server{Endpoints: []string{"http://" + lab.FreeAddress()}}); !strings.Contains(got, "connection refused") {
		t.Errorf("nobody there: %s", got)
	}
	server := with(pool(trusted), *mine)
	server.Endpoints = []string{strings.Replace(plain.urls()[0], "http://", "https://", 1)}
	if got := problem(t, server); !strings.Contains(got, "write http:// in --etcd") {
		t.Errorf("etcd without TLS: %s", got)
	}
}

// A user that etcd does not know, and one that may not write below the prefix, are told so.
func TestUsers(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, 1)
	c := e.client()
	ctx := t.Context()
	_, err := c.RoleAdd(ctx, "root")
	for _, step := range []func() error{
		func() error { _, err := c.UserAdd(ctx, "root", "r"); return err },
		func() error { _, err := c.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := c.RoleAdd(ctx, "masters"); return err },
		func() error {
			_, err := c.RoleGrantPermission(ctx, "masters", "/skerry/", clientv3.GetPrefixRangeEnd("/skerry/"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := c.UserAdd(ctx, "skerry", "right"); return err },
		func() error { _, err := c.UserGrantRole(ctx, "skerry", "masters"); return err },
		func() error { _, err := c.UserAdd(ctx, "nobody", "right"); return err },
		func() error { _, err := c.AuthEnable(ctx); return err },
	} {
		if err = errors.Join(err, step()); err != nil {
			t.Fatal(err)
		}
	}
	reaches(t, Server{Endpoints: e.urls(), User: "skerry", Password: "right"})
	for name, c := range map[string]struct{ user, password, want string }{
		"a wrong password":  {"skerry", "wrong", "does not accept the user and password"},
		"no user":           {"", "", "--etcd-user"},
		"a user of nothing": {"nobody", "right", "etcdctl role grant-permission"},
	} {
		if got := problem(t, Server{Endpoints: e.urls(), User: c.user, Password: c.password}); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	// All that a master does is allowed to a user of the prefix.
	a := newMaster(t, "a", testKeys(t), e.urls()...)
	a.config.Server.User, a.config.Server.Password = "skerry", "right"
	a.start()
	a.wait(Leading)
	a.put("one", "1")
}
