package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

// What a master is started with that can't be meant is explained, with exit code 2.
func TestSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string // empty: it starts
	}{
		"defaults":               {nil, ""},
		"one broker":             {[]string{"--broker", "mqtts://broker"}, ""},
		"broker, embedded off":   {[]string{"--broker", "mqtts://broker", "--mqtt-listen", ""}, ""},
		"broker and embedded":    {[]string{"--broker", "mqtts://broker", "--mqtt-listen", ":1"}, "--broker and --mqtt-listen exclude each other"},
		"no broker":              {[]string{"--mqtt-listen", ""}, `--mqtt-listen "" turns the embedded broker off, so --broker must name another`},
		"a clustered broker":     {[]string{"--broker", "tcp://a,tcp://b"}, ""},
		"too many brokers":       {[]string{"--broker", manyBrokers()}, "--broker: 17 are too many; give at most 16"},
		"a strange broker":       {[]string{"--broker", "http://a"}, `--broker: "http://a" is no broker URL: the scheme http is not known`},
		"no API":                 {[]string{"--api-listen", ""}, "--api-listen: it can't be empty"},
		"a cluster with a slash": {[]string{"--cluster-name", "a/b"}, `--cluster-name: "a/b" must consist of`},
		"an advertised port":     {[]string{"--advertise", "host:1"}, `--advertise: "host:1" is neither a host name nor an IP address`},
		"names and addresses":    {[]string{"--advertise", "host.example,192.0.2.1,2001:db8::1"}, ""},
		"timeout too short":      {[]string{"--node-timeout", "15s"}, "--node-timeout 15s is less than two of --heartbeat-interval 10s"},
		"suspect too short":      {[]string{"--suspect-timeout", "10s"}, "--suspect-timeout 10s is less than 1.5 of --heartbeat-interval 10s; make it at least 15s"},
		"slow heartbeats":        {[]string{"--heartbeat-interval", "20s", "--node-timeout", "1m"}, ""},
		"quick heartbeats":       {[]string{"--heartbeat-interval", "1s", "--node-timeout", "3s"}, ""},
		"etcd":                   {[]string{"--etcd", "https://a,https://b:2379"}, ""},
		"a password in argv":     {[]string{"--etcd", "https://root:x@a"}, "--etcd: a password on the command line can be read"},
		"etcd without a scheme":  {[]string{"--etcd", "a:2379"}, `--etcd: "a:2379" is no URL of etcd`},
		"mixed schemes":          {[]string{"--etcd", "https://a,http://b"}, "--etcd names members with http:// and with https://"},
		"half a certificate":     {[]string{"--etcd", "https://a", "--etcd-cert", "x"}, "--etcd-cert and --etcd-key belong together"},
		"cut off from nothing":   {[]string{"--when-cut-off", "yield"}, "--when-cut-off is about --etcd, which is not given"},
	} {
		var config Config
		var out, errs bytes.Buffer
		ran := false
		code := daemon.Command{Name: "skerry-master", Define: config.Define, Check: config.Check,
			Run: func(context.Context, *daemon.Daemon) error { ran = true; return nil }}.
			Main(append(c.args, "--metrics-listen", ""), &out, &errs)
		switch {
		case c.want == "" && (code != 0 || !ran):
			t.Errorf("%s: exit code %d: %s", name, code, &errs)
		case c.want != "" && (code != 2 || !strings.HasPrefix(errs.String(), "error: "+c.want)):
			t.Errorf("%s: exit code %d: %swant 2, %s", name, code, &errs, c.want)
		}
		if c.want == "" && config.SuspectTimeout < config.Heartbeat*3/2 {
			t.Errorf("%s: suspect-timeout is %s at intervals of %s", name, config.SuspectTimeout, config.Heartbeat)
		}
	}
}

// A cluster stays the same cluster: what was made is read back, and nothing else is taken for it.
func TestIdentity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	made, err := openIdentity(dir, "home")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, identityFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the keys: %v, %v", info.Mode(), err)
	}
	read, err := openIdentity(dir, "home")
	if err != nil {
		t.Fatal(err)
	}
	if !made.keys.Exchange.Equal(read.keys.Exchange) || !made.keys.Signing.Equal(read.keys.Signing) ||
		!made.ca.Certificate.Equal(read.ca.Certificate) {
		t.Error("what is read is not what was made")
	}
	if _, err := openIdentity(dir, "work"); err == nil || !strings.Contains(err.Error(), "belongs to the cluster home") {
		t.Errorf("another cluster's name: %v", err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := newIdentity(rand.Reader, "home")
	if err != nil {
		t.Fatal(err)
	}
	if err := foreign.keep(filepath.Join(dir, "foreign")); err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(dir, "foreign"))
	if err != nil {
		t.Fatal(err)
	}
	early := append(slices.Clone(whole), pem.EncodeToMemory(&pem.Block{Type: "SKERRY JOIN SECRET", Bytes: make([]byte, 16)})...)
	if err := os.WriteFile(path, early, 0o600); err != nil {
		t.Fatal(err)
	}
	if read, err := openIdentity(dir, "home"); err != nil || !made.keys.Exchange.Equal(read.keys.Exchange) {
		t.Errorf("a file of an early version: %v", err)
	}
	cut := bytes.LastIndex(other, []byte("-----BEGIN CERTIFICATE"))
	ours := bytes.LastIndex(whole, []byte("-----BEGIN CERTIFICATE"))
	for name, data := range map[string][]byte{
		"empty":                 {},
		"cut off":               whole[:len(whole)/2],
		"no certificate":        whole[:bytes.LastIndex(whole, []byte("-----BEGIN"))],
		"another's certificate": append(slices.Clone(whole[:ours]), other[cut:]...),
		"garbage":               bytes.Replace(whole, []byte("M"), []byte("?"), 3),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openIdentity(dir, "home"); err == nil || !strings.Contains(err.Error(), "unusable") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, data) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// The certificate is issued once, and anew when its time or the machine's addresses require it.
func TestServerCertificate(t *testing.T) {
	t.Parallel()
	authority, err := ca.New(rand.Reader, "home")
	if err != nil {
		t.Fatal(err)
	}
	now := clock.Now{Wall: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	c := newCertificates(authority, []string{"localhost"}, func() clock.Now { return now }, zerolog.Nop())
	get := func() *tls.Certificate {
		t.Helper()
		certificate, err := c.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return certificate
	}
	first := get()
	if get() != first {
		t.Error("it was issued twice")
	}
	now = now.Add(ca.ServerLifetime)
	second := get()
	if second == first {
		t.Error("it was not renewed after a year")
	}
	now.Wall = time.Unix(100, 0) // the clock's battery is empty
	if get() != second {
		t.Error("it was issued anew by a clock that is not set")
	}
	now.Wall = time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3 * maxDialled {
		address := net.IPv4(192, 0, 2, byte(i))
		certificate, err := c.get(&tls.ClientHelloInfo{Conn: dialled{address: address}})
		if err != nil {
			t.Fatal(err)
		}
		if !ca.Covers(certificate.Leaf, address.String()) || !ca.Covers(certificate.Leaf, "localhost") {
			t.Fatalf("%s is not covered", address)
		}
		if n := len(certificate.Leaf.IPAddresses); n > maxDialled {
			t.Fatalf("the certificate has %d addresses", n)
		}
	}
}

// A master that starts in 1970 shows a certificate that lasts for clients whose clock is right, and another one as soon
// as its own clock is.
func TestServerCertificateWithoutAClock(t *testing.T) {
	t.Parallel()
	authority, err := ca.New(rand.Reader, "home")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate)
	wall, right := time.Unix(30, 0), time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	c := newCertificates(authority, []string{"localhost"}, func() clock.Now { return clock.Now{Wall: wall} }, zerolog.Nop())
	var last *tls.Certificate
	for _, set := range []time.Time{wall, wall.Add(time.Hour), right} {
		wall = set
		certificate, err := c.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost", CurrentTime: right}); err != nil {
			t.Errorf("shown at %s: %v", wall, err)
		}
		if renewed := last != nil && certificate != last; renewed != (set == right) {
			t.Errorf("at %s: renewed %v", wall, renewed)
		}
		last = certificate
	}
}

// dialled is a connection to an address of this machine.
type dialled struct {
	net.Conn
	address net.IP
}

func (d dialled) LocalAddr() net.Addr { return &net.TCPAddr{IP: d.address, Port: 6443} }

// The kubeconfig stays as it is while it works, and is written anew when it doesn't.
func TestKubeconfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id, err := newIdentity(rand.Reader, "home")
	if err != nil {
		t.Fatal(err)
	}
	other, err := newIdentity(rand.Reader, "home")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var last []byte
	for _, c := range []struct {
		name   string
		id     identity
		server string
		now    time.Time
		same   bool
	}{
		{"first start", id, "https://192.0.2.1:6443", now, false},
		{"next start", id, "https://192.0.2.1:6443", now.Add(time.Hour), true},
		{"the clock stands at 1970", id, "https://192.0.2.1:6443", time.Unix(5, 0), true},
		{"another address", id, "https://192.0.2.2:6443", now, false},
		{"nine years later", id, "https://192.0.2.2:6443", now.AddDate(9, 1, 0), false},
		{"another cluster", other, "https://192.0.2.2:6443", now.AddDate(9, 1, 0), false},
	} {
		if err := writeKubeconfig(dir, c.id, c.server, c.now); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, kubeconfigFile))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(data, last) != c.same {
			t.Errorf("%s: the same %v, want %v", c.name, !c.same, c.same)
		}
		last = data
	}
}

func TestAdvertisedAddresses(t *testing.T) {
	t.Parallel()
	machine := []string{"192.0.2.1", "192.0.2.2"}
	for _, c := range []struct {
		advertise []string
		listen    string
		machine   []string
		want      []string
	}{
		{nil, ":6443", machine, machine},
		{nil, "0.0.0.0:6443", machine, machine},
		{nil, "[::]:6443", machine, machine},
		{nil, "192.0.2.2:6443", machine, []string{"192.0.2.2"}},
		{nil, "127.0.0.1:6443", machine, []string{"127.0.0.1"}},
		{[]string{"master.example"}, "192.0.2.2:6443", machine, []string{"master.example"}},
		{nil, ":6443", nil, []string{"127.0.0.1"}},
	} {
		if got := (Config{Advertise: c.advertise}).advertised(c.listen, c.machine); !slices.Equal(got, c.want) {
			t.Errorf("--advertise %v, listening on %s: %v, want %v", c.advertise, c.listen, got, c.want)
		}
	}
}

// manyBrokers are one more than a token names.
func manyBrokers() string {
	var all []string
	for i := range maxTokenBrokers + 1 {
		all = append(all, fmt.Sprintf("tcp://broker-%d", i))
	}
	return strings.Join(all, ",")
}
