package mqtt_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/broker"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

const (
	cluster  = "test"
	password = "a node's password"
	patience = 20 * time.Second
)

func topics(t *testing.T) protocol.Topics {
	t.Helper()
	topics, err := protocol.NewTopics(cluster)
	if err != nil {
		t.Fatal(err)
	}
	return topics
}

// rig is a real broker on a loopback port, behind TLS, that can be stopped and started again.
type rig struct {
	url            string
	plain          string // mosquitto's address without TLS; empty when there is none
	pin            seal.CAHash
	start          func()
	stop           func()
	user, password string // the account of the master: it may do everything
}

// rigs are the brokers that every test runs on.
var rigs = map[string]func(*testing.T) *rig{"embedded": embedded, "mosquitto": mosquitto, "nats": nats}

func onEachBroker(t *testing.T, test func(*testing.T, *rig)) {
	for name, start := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

func authority(t *testing.T) (*ca.Authority, *tls.Certificate) {
	t.Helper()
	a, err := ca.New(rand.Reader, cluster)
	if err != nil {
		t.Fatal(err)
	}
	return a, mqtt.Expired(t, a, "127.0.0.1")
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// listenAgain listens on an address that was in use a moment ago.
func listenAgain(t *testing.T, address string) net.Listener {
	t.Helper()
	var l net.Listener
	eventually(t, "the port is free", func() bool {
		var err error
		l, err = net.Listen("tcp", address)
		return err == nil
	})
	return l
}

// everybody has the same password.
type everybody struct{}

func (everybody) Node(string) [][sha256.Size]byte {
	return [][sha256.Size]byte{sha256.Sum256([]byte(password))}
}
func (everybody) Removed(string) bool         { return false }
func (everybody) Join([sha256.Size]byte) bool { return false }

func embedded(t *testing.T) *rig {
	a, certificate := authority(t)
	address := freePort(t)
	r := &rig{url: "mqtts://" + address, pin: seal.HashCA(a.Certificate), user: broker.MasterUser, password: "the master's"}
	r.start = func() {
		b, err := broker.New(broker.Config{
			Topics: topics(t), Cluster: cluster, Listener: listenAgain(t, address),
			TLS: &tls.Config{Certificates: []tls.Certificate{*certificate}}, Accounts: everybody{}, MasterPassword: r.password, Log: zerolog.Nop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		r.stop = func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			r.stop = func() {}
		}
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func mosquitto(t *testing.T) *rig {
	binary := program(t, "mosquitto")
	a, certificate := authority(t)
	f := files{t, t.TempDir()}
	chain, key := f.certificate(certificate)
	address := freePort(t)
	_, port, _ := net.SplitHostPort(address)
	plain := freePort(t)
	_, plainPort, _ := net.SplitHostPort(plain)
	accounts := f.write("accounts", nil)
	for user, secret := range map[string]string{"node-1": password, "node-2": password, "master": "the master's"} {
		if out, err := exec.Command("mosquitto_passwd", "-b", accounts, user, secret).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	config := f.write("mosquitto.conf", fmt.Appendf(nil, `listener %s 127.0.0.1
listener %s 127.0.0.1
allow_anonymous false
password_file %s
certfile %s
keyfile %s
acl_file %s
user root
`, plainPort, port, accounts,
		chain, key,
		f.write("acl", []byte("pattern readwrite skerry/test/n/%u/#\npattern read skerry/test/m/leader\nuser master\ntopic readwrite #\n"))))
	r := &rig{url: "mqtts://" + address, plain: plain, pin: seal.HashCA(a.Certificate), user: "master", password: "the master's"}
	r.runs(t, address, filepath.Join(f.dir, "log"), binary, "-c", config)
	return r
}

// program is where a broker's program is; the test is skipped without it.
func program(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := "/usr/sbin/" + name
	if !exists(path) {
		t.Skipf("%s is not installed (apt-get install %s)", name, name)
	}
	return path
}

// runs has a program be the broker at the address, until the test ends.
func (r *rig) runs(t *testing.T, address, log, binary string, args ...string) {
	r.start = func() {
		listenAgain(t, address).Close()
		cmd := exec.Command(binary, args...)
		out, err := os.Create(log)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r.stop = func() {
			cmd.Process.Kill()
			cmd.Wait()
			out.Close()
			r.stop = func() {}
		}
		eventually(t, filepath.Base(binary)+" listens", func() bool {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	r.start()
	t.Cleanup(func() { r.stop() })
}

// files writes what a broker reads into a directory.
type files struct {
	t   *testing.T
	dir string
}

func (f files) write(name string, data []byte) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// certificate writes a certificate with its chain, and its key.
func (f files) certificate(c *tls.Certificate) (chain, key string) {
	f.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		f.t.Fatal(err)
	}
	var all []byte
	for _, der := range c.Certificate {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return f.write("chain.pem", all), f.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// config is the bus of a node.
func (r *rig) config(t *testing.T, node string) mqtt.Config {
	t.Helper()
	brokers, err := mqtt.ParseBrokers([]string{r.url})
	if err != nil {
		t.Fatal(err)
	}
	return mqtt.Config{
		Brokers: brokers, ClientID: mqtt.NodeClientID(cluster, node), User: node, Password: password, PinnedCA: r.pin,
		BackoffCap: func() time.Duration { return 50 * time.Millisecond }, Log: zerolog.Nop(),
	}
}

// master is the bus of the master.
func (r *rig) master(t *testing.T) mqtt.Config {
	c := r.config(t, "master")
	c.ClientID, c.User, c.Password = mqtt.MasterClientID(cluster, "m"), r.user, r.password
	return c
}

// dial connects without the bus's own dialling.
func (r *rig) dial(ctx context.Context) (net.Conn, error) {
	address := strings.TrimPrefix(r.url, "mqtts://")
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // of a test
	return dialer.DialContext(ctx, "tcp", address)
}

// start runs a bus until stop is called or the test ends.
func start(t *testing.T, config mqtt.Config) (b *mqtt.Bus, stop func()) {
	t.Helper()
	b, err := mqtt.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return b, stop
}

func connected(t *testing.T, b *mqtt.Bus) uint64 {
	t.Helper()
	var number uint64
	eventually(t, "connected", func() (up bool) {
		number, up = b.Connection()
		return up
	})
	return number
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// raw publishes with a client that knows no limits.
func (r *rig) raw(t *testing.T, topic string, payload []byte) {
	t.Helper()
	host, port, _ := net.SplitHostPort(r.plain)
	cmd := exec.Command("mosquitto_pub", "-h", host, "-p", port, "-u", r.user, "-P", r.password, "-q", "1", "-r", "-t", topic, "-s")
	cmd.Stdin = bytes.NewReader(payload)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}
