package brokerconfig

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

const patience = 20 * time.Second

// server is a real broker that runs on the files as they were written.
type server struct {
	url string
	pin seal.CAHash
}

func start(t *testing.T, program string, write func(Config) ([]File, error), arguments ...string) server {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path = "/usr/sbin/" + program; !exists(path) {
			t.Skipf("%s is not installed (apt-get install %s)", program, program)
		}
	}
	authority, err := ca.New(rand.Reader, "default")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Server(rand.Reader, []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	config := sample()
	config.Dir, config.Port = t.TempDir(), freePort(t)
	for _, der := range certificate.Certificate {
		config.Certificate = append(config.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	config.Key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	files, err := write(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		mode := os.FileMode(0o644)
		if f.Secret {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(config.Dir, f.Name), f.Data, mode); err != nil {
			t.Fatal(err)
		}
	}
	giveTo(t, program, config.Dir)
	for i, a := range arguments {
		arguments[i] = strings.ReplaceAll(a, "DIR", config.Dir)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, arguments...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s says:\n%s", program, text)
		}
		log.Close()
	})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(config.Port))
	eventually(t, program+" listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return server{url: "mqtts://" + address, pin: seal.HashCA(authority.Certificate)}
}

// giveTo gives the files to the user that Debian's package runs the broker as: started by root, mosquitto changes
// to that user before it reads them.
func giveTo(t *testing.T, program, dir string) {
	account, err := user.Lookup(program)
	if err != nil || os.Geteuid() != 0 {
		return
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for path := dir; path != "/" && path != "/tmp"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range entries {
		if err := os.Chown(filepath.Join(dir, e.Name()), uid, gid); err != nil {
			t.Fatal(err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// connect is a client with one of the accounts.
func (s server) connect(t *testing.T, name, password, clientID string) *mqtt.Bus {
	t.Helper()
	brokers, err := mqtt.ParseBrokers([]string{s.url})
	if err != nil {
		t.Fatal(err)
	}
	b, err := mqtt.New(mqtt.Config{
		Brokers: brokers, ClientID: clientID, User: name, Password: password, PinnedCA: s.pin,
		TakeLeave: true, BackoffCap: func() time.Duration { return 50 * time.Millisecond }, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return b
}

func up(b *mqtt.Bus) func() bool {
	return func() bool { _, up := b.Connection(); return up }
}

// listener collects what a client gets.
type listener struct {
	inbox *bus.Inbox
	got   map[string]string // last payload by topic
}

func listen(t *testing.T, b *mqtt.Bus, filters ...string) *listener {
	t.Helper()
	l := &listener{inbox: bus.NewInbox(1000, func() {}), got: map[string]string{}}
	for _, f := range filters {
		if err := b.Subscribe(f, 1, l.inbox); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l *listener) has(topic, payload string) func() bool {
	return func() bool {
		for _, m := range l.inbox.Drain() {
			l.got[m.Topic] = string(m.Payload)
		}
		return l.got[topic] == payload
	}
}

// forbidden is what accounts may not read; all of it is published in try.
var forbidden = map[string][]string{
	"n2:the second's": {
		"skerry/default/n/n1/desired", "skerry/default/n/n1/status", "skerry/default/n/n1/req", "skerry/default/n/+/status",
		"skerry/default/join/+/answer", "skerry/#", "#", "$MQTT/sub/#", "$MQTT/#",
	},
	"@join:for joining": {"skerry/default/m/leader", "skerry/default/n/+/status", "skerry/default/n/n1/desired", "#"},
}

// Each account can do what the protocol needs of it and nothing else, on a real broker that runs on the files
// unchanged.
func TestRealBrokers(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T) server{
		"mosquitto": func(t *testing.T) server { return start(t, "mosquitto", Mosquitto, "-c", "DIR/skerry.conf") },
		"nats":      func(t *testing.T) server { return start(t, "nats-server", NATS, "-c", "DIR/nats.conf") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t)
			master := s.connect(t, "@master", "the master's", mqtt.MasterClientID("default", "m1"))
			n1 := s.connect(t, "n1", "the first's", mqtt.NodeClientID("default", "n1"))
			n2 := s.connect(t, "n2", "the second's", mqtt.NodeClientID("default", "n2"))
			joiner := s.connect(t, "@join", "for joining", "skerry_default_join_a")
			wrong := s.connect(t, "n1", "the second's", "skerry_default_n_n1_other")
			for who, b := range map[string]*mqtt.Bus{"master": master, "n1": n1, "n2": n2, "joiner": joiner} {
				eventually(t, who+" connects", up(b))
			}
			eventually(t, "a wrong password is refused", func() bool { return wrong.Err() != nil && !up(wrong)() })
			spies := map[string]*listener{}
			for account, filters := range forbidden {
				for i, f := range filters {
					// A broker may end a connection over a forbidden filter: each has one of its own.
					name, password, _ := strings.Cut(account, ":")
					spy := s.connect(t, name, password, fmt.Sprintf("spy-%s-%d", name, i))
					spies[account+" "+f] = listen(t, spy, f)
					eventually(t, "a spy connects", func() bool { number, _ := spy.Connection(); return number > 0 })
				}
			}
			try(t, master, n1, n2, joiner)
			for who, l := range spies {
				l.has("", "")()
				for topic, payload := range l.got {
					own := strings.HasPrefix(who, "n2:") && (strings.HasPrefix(topic, "skerry/default/n/n2/") || topic == "skerry/default/m/leader") ||
						strings.HasPrefix(who, "@join:") && strings.HasPrefix(topic, "skerry/default/join/")
					if !own { // a filter that takes in more than is allowed gets what is allowed of it
						t.Errorf("%s has read %s: %s", who, topic, payload)
					}
				}
			}
		})
	}
}

func try(t *testing.T, master, n1, n2, joiner *mqtt.Bus) {
	topics, err := protocol.NewTopics("default")
	if err != nil {
		t.Fatal(err)
	}
	publish := func(b *mqtt.Bus, topic, payload string, qos byte, retain bool) {
		t.Helper()
		if err := b.Publish(topic, []byte(payload), qos, retain); err != nil {
			t.Fatal(err)
		}
	}
	var everything []string
	for _, channel := range written {
		everything = append(everything, topics.AllNodes(channel))
	}
	atMaster := listen(t, master, append(everything, topics.AllJoins(protocol.JoinAsk), topics.Probe("m1"))...)
	atN1 := listen(t, n1, topics.Leader(), topics.Node("n1", protocol.Request), topics.Node("n1", protocol.Desired))
	atN2 := listen(t, n2, topics.Leader(), topics.Node("n2", protocol.Request), topics.Node("n2", protocol.Desired))
	atJoiner := listen(t, joiner, topics.Join("a", protocol.JoinAnswer))
	said := func(l *listener, b *mqtt.Bus, topic, payload string, qos byte, retain bool) {
		t.Helper()
		eventually(t, payload+" arrives", func() bool {
			publish(b, topic, payload, qos, retain) // again if the broker ended the connection over a forbidden filter
			return l.has(topic, payload)()
		})
	}
	// A first message of each shows that the subscriptions stand.
	eventually(t, "the master's subscription stands", func() bool {
		publish(master, topics.Probe("m1"), "probe", 0, false)
		return atMaster.has(topics.Probe("m1"), "probe")()
	})
	for _, channel := range written {
		said(atMaster, n1, topics.Node("n1", channel), "n1's "+channel, 1, channel == protocol.Presence)
	}
	said(atMaster, joiner, topics.Join("a", protocol.JoinAsk), "may I", 1, false)
	for node, l := range map[string]*listener{"n1": atN1, "n2": atN2} {
		said(l, master, topics.Node(node, protocol.Desired), "run this", 1, true)
		said(l, master, topics.Node(node, protocol.Request), "a frame", 0, false)
	}
	said(atN1, master, topics.Leader(), "I lead", 1, true)
	said(atJoiner, master, topics.Join("a", protocol.JoinAnswer), "you may", 1, false)

	// Forgeries, each before an honest message of the same client, which arrives.
	publish(n2, topics.Node("n1", protocol.Status), "n1 as n2 has it", 1, false)
	publish(n2, topics.Node("n1", protocol.Desired), "run my miner", 1, true)
	publish(n2, topics.Leader(), "n2 leads", 1, true)
	eventually(t, "an honest message after the forgeries", func() bool {
		publish(n2, topics.Node("n2", protocol.Beat), "alive", 1, false) // the broker may have ended the connection
		return atMaster.has(topics.Node("n2", protocol.Beat), "alive")()
	})
	publish(joiner, topics.Node("n1", protocol.Hello), "hello from a stranger", 1, false)
	eventually(t, "an honest message after the forgery", func() bool {
		publish(joiner, topics.Join("a", protocol.JoinAsk), "still me", 1, false)
		return atMaster.has(topics.Join("a", protocol.JoinAsk), "still me")()
	})
	said(atN1, master, topics.Node("n1", protocol.Request), "the last", 1, false)
	if got := atMaster.got[topics.Node("n1", protocol.Status)]; got != "n1's "+protocol.Status {
		t.Errorf("the master has a forged status: %q", got)
	}
	if got := atMaster.got[topics.Node("n1", protocol.Hello)]; got != "n1's "+protocol.Hello {
		t.Errorf("the master has a forged hello: %q", got)
	}
	if got := atN1.got[topics.Node("n1", protocol.Desired)]; got != "run this" {
		t.Errorf("n1 has a forged desired state: %q", got)
	}
	if got := atN1.got[topics.Leader()]; got != "I lead" {
		t.Errorf("n1 has a forged leader: %q", got)
	}
}
