package e2e

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/join"
	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/test/lab"
)

// besieged is a master with the embedded broker and a node, "victim", that runs a pod: real programs on loopback, where
// an attacker in the test's own process reaches them.
type besieged struct {
	*testing.T
	dir    string
	topics protocol.Topics
}

func besiege(t *testing.T) *besieged {
	t.Helper()
	b := &besieged{T: t, dir: t.TempDir()}
	var err error
	if b.topics, err = protocol.NewTopics("default"); err != nil {
		t.Fatal(err)
	}
	port := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	b.start("skerry-master", append([]string{"--data-dir", filepath.Join(b.dir, "master"), "--api-listen", port(), "--mqtt-listen", port(),
		"--metrics-listen", port(), "--advertise", "127.0.0.1"}, quick...)...)
	b.until("the master has written its token", func() (bool, string) {
		_, err := os.Stat(filepath.Join(b.dir, "master", "join-token"))
		return err == nil, seen("", err)
	})
	b.start("skerry-agent", "--data-dir", filepath.Join(b.dir, "victim"), "--node-name", "victim", "--engine", "fake", "--metrics-listen", "",
		"--join", "@"+filepath.Join(b.dir, "master", "join-token"))
	b.until("the node is Ready", func() (bool, string) {
		out, err := b.try("get", "node", "victim", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		return out == "True", seen(out, err)
	})
	b.kubectl("run", "app", "--image=none.test/app:1")
	b.unharmed()
	return b
}

// start starts a program that ends with the test.
func (b *besieged) start(program string, args ...string) *exec.Cmd {
	b.Helper()
	cmd := exec.Command(filepath.Join(binaries, program), args...)
	log := &syncBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if b.Failed() {
			b.Logf("--- %s\n%s", program, log)
		}
	})
	return cmd
}

// syncBuffer is what a program says.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (b *besieged) until(what string, check func() (bool, string)) {
	b.Helper()
	if _, err := lab.Until(what, patience, check); err != nil {
		b.Fatal(err)
	}
}

// edgectl runs as the administrator, unless args name another kubeconfig behind.
func (b *besieged) edgectl(args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(binaries, "edgectl"), append([]string{"--kubeconfig", filepath.Join(b.dir, "master", "admin.kubeconfig")}, args...)...)
}

// try runs edgectl as the administrator.
func (b *besieged) try(args ...string) (string, error) {
	out, err := b.edgectl(args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), err
}

func (b *besieged) kubectl(args ...string) string {
	b.Helper()
	out, err := b.try(args...)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// unharmed waits until the victim is Ready and its pod runs, as the victim itself says.
func (b *besieged) unharmed() {
	b.Helper()
	const node = `jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.nodeInfo.containerRuntimeVersion}`
	b.until("the victim is as it was", func() (bool, string) {
		pod, err := b.try("get", "pod", "app", "-o", "jsonpath={.status.phase} {.spec.nodeName}")
		if err != nil {
			return false, err.Error()
		}
		state, err := b.try("get", "node", "victim", "-o", node)
		return pod == "Running victim" && state == "True fake://1", pod + ", " + state + seen("", err)
	})
}

func (b *besieged) token() seal.Token {
	b.Helper()
	token, err := seal.ParseToken(b.kubectl("token", "create", "-o", "token", "--uses", "0"))
	if err != nil {
		b.Fatal(err)
	}
	return token
}

// client is a connection with an account. recorded gets every message that it publishes.
func (b *besieged) client(token seal.Token, id, user, password string) *mqtt.Bus {
	b.Helper()
	brokers, err := mqtt.ParseBrokers(token.Brokers)
	if err != nil {
		b.Fatal(err)
	}
	c, err := mqtt.New(mqtt.Config{
		Brokers: brokers, ClientID: id, User: user, Password: password, PinnedCA: token.CAHash, TakeLeave: true,
		BackoffCap: func() time.Duration { return 50 * time.Millisecond }, Log: zerolog.Nop(),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
	})
	return c
}

func (b *besieged) connected(c *mqtt.Bus) {
	b.Helper()
	b.until("the attacker is connected", func() (bool, string) {
		_, up := c.Connection()
		return up, seen("", c.Err())
	})
}

func (b *besieged) refusedBy(c *mqtt.Bus, words string) {
	b.Helper()
	b.until("the broker refuses: "+words, func() (bool, string) {
		err := c.Err()
		return err != nil && strings.Contains(err.Error(), words), seen("", err)
	})
}

// spy is a bus that keeps what is published.
type spy struct {
	*mqtt.Bus
	mu   sync.Mutex
	sent []bus.Message
}

func (s *spy) Publish(topic string, payload []byte, qos byte, retain bool) error {
	s.mu.Lock()
	s.sent = append(s.sent, bus.Message{Topic: topic, Payload: bytes.Clone(payload)})
	s.mu.Unlock()
	return s.Bus.Publish(topic, payload, qos, retain)
}

// insider is a node that has joined honestly, and attacks.
type insider struct {
	token    seal.Token
	name     string
	key      *ecdh.PrivateKey
	box      *seal.Box
	run      seal.Run
	recorded []bus.Message // its joining
	joinedAs string        // client id
}

func (b *besieged) insider(name string) *insider {
	b.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	i := &insider{token: b.token(), name: name, key: key, run: seal.Run{Number: 1, Nonce: uint64(time.Now().UnixNano())}}
	id, err := join.NewID(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	user, password := i.token.Account()
	i.joinedAs = mqtt.JoinClientID("default", id)
	tap := &spy{Bus: b.client(i.token, i.joinedAs, user, password)}
	attempt, err := join.New(join.Config{
		Bus: tap, Topics: b.topics, ID: id, Node: name, Key: key, Token: i.token, Run: i.run, NextBroker: func() {},
		Clock: daemon.Clock, Rand: rand.Reader, Logger: zerolog.Nop(),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if verdict, err := attempt.Run(ctx); err != nil || verdict != message.Joined {
		b.Fatalf("the insider has not joined: %s, %v", verdict, err)
	}
	i.recorded = tap.sent
	if i.box, err = seal.NewBox(seal.Node, key, i.token.Exchange, "default", name); err != nil {
		b.Fatal(err)
	}
	return i
}

func (b *besieged) connect(i *insider) *mqtt.Bus {
	c := b.client(i.token, mqtt.NodeClientID("default", i.name), i.name, i.box.Password())
	b.connected(c)
	return c
}

// A token that somebody made up, or that another cluster made, opens no connection. The attacker gets nothing: not even a
// place at the broker.
func TestAttackWrongToken(t *testing.T) {
	b := besiege(t)
	guessed := b.token()
	guessed.Secret = bytes.Repeat([]byte{7}, seal.SecretSize)
	user, password := guessed.Account()
	b.refusedBy(b.client(guessed, mqtt.JoinClientID("default", "a1"), user, password), "it refuses the user name or password")
	b.refusedBy(b.client(guessed, mqtt.NodeClientID("default", "victim"), "victim", password), "it refuses the user name or password")
	b.refusedBy(b.client(guessed, mqtt.MasterClientID("default", "m"), "@master", password), "it refuses the user name or password")
	b.unharmed()
}

// A recorded join, played back over the same account and attempt, is not acted upon: the node that was deleted stays out,
// and no use of the token is spent. The attacker gets nothing.
func TestAttackReplayedJoin(t *testing.T) {
	b := besiege(t)
	i := b.insider("ghost")
	uses := func() string {
		for _, row := range strings.Split(b.kubectl("token", "list"), "\n") {
			if strings.HasPrefix(row, i.token.ID()) {
				return row
			}
		}
		b.Fatal("the token is gone")
		return ""
	}
	before := strings.Fields(uses())[2]
	user, password := i.token.Account()
	c := b.client(i.token, i.joinedAs, user, password)
	b.connected(c)
	for range 3 {
		for _, m := range i.recorded {
			if err := c.Publish(m.Topic, m.Payload, 1, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	// An honest join after that shows that the master has seen all of it.
	b.insider("honest")
	if after := strings.Fields(uses())[2]; after != before {
		t.Errorf("uses of the token: %s, and %s after the replay", before, after)
	}
	b.unharmed()
}

// A node publishes in another node's name, and as the master: hellos, statuses, a will, a desired state, an older and a
// newer leader. The broker passes none of it on. The attacker gets nothing but the end of its own connection.
func TestAttackPublishAsAnother(t *testing.T) {
	b := besiege(t)
	i := b.insider("mallory")
	c := b.connect(i)
	leader := func(epoch message.Epoch) []byte {
		return seal.Write(i.run, 1, message.Encode(message.Leader{Epoch: epoch, Master: "mallory"}))
	}
	status := message.Encode(message.Status{Complete: true, Pods: []message.PodStatus{{UID: b.kubectl("get", "pod", "app", "-o", "jsonpath={.metadata.uid}"), Namespace: "default", Name: "app", Gone: true}}})
	for topic, payload := range map[string][]byte{
		b.topics.Node("victim", protocol.Hello):    i.box.Seal(b.topics.Node("victim", protocol.Hello), i.run, seal.Run{}, 1, message.Encode(message.Hello{Challenge: 1})),
		b.topics.Node("victim", protocol.Status):   i.box.Seal(b.topics.Node("victim", protocol.Status), i.run, seal.Run{}, 2, status),
		b.topics.Node("victim", protocol.Presence): i.box.Seal(b.topics.Node("victim", protocol.Presence), i.run, seal.Run{}, 3, message.Encode(message.Presence{Connection: 99})),
		b.topics.Node("victim", protocol.Desired):  i.box.Seal(b.topics.Node("victim", protocol.Desired), i.run, seal.Run{}, 4, message.Encode(message.Desired{})),
		b.topics.Node("mallory", protocol.Desired): {},
		b.topics.Leader():                          leader(message.Epoch{Term: 9, Start: 9}),
		b.topics.Probe("x"):                        leader(message.Epoch{}),
	} {
		if err := c.Publish(topic, payload, 1, true); err != nil {
			t.Fatal(err)
		}
		b.connected(c)
	}
	b.kubectl("delete", "pod", "app", "--grace-period=1", "--wait=false")
	b.kubectl("run", "app2", "--image=none.test/app:1")
	b.until("the victim still does what the master says", func() (bool, string) {
		out, err := b.try("get", "pods", "-o", "jsonpath={range .items[*]}{.metadata.name}={.status.phase} {end}")
		return out == "app2=Running", seen(out, err)
	})
}

// A node reads another node's topics, and those of everybody, by name and by wildcard. The attacker gets nothing.
func TestAttackReadAnother(t *testing.T) {
	b := besiege(t)
	i := b.insider("mallory")
	for n, filter := range []string{
		b.topics.Node("victim", protocol.Desired), b.topics.Node("victim", protocol.Request), b.topics.AllNodes(protocol.Desired),
		b.topics.AllJoins(protocol.JoinAnswer), "skerry/default/#", "#", "$SYS/#",
	} {
		c := b.connect(i)
		inbox := bus.NewInbox(10, func() {})
		if err := c.Subscribe(filter, 1, inbox); err != nil {
			t.Fatal(err)
		}
		b.refusedBy(c, "it refuses the subscription to "+filter)
		if got := inbox.Drain(); len(got) > 0 {
			t.Errorf("filter %d, %s: got %d messages", n, filter, len(got))
		}
	}
	b.unharmed()
}

// A node that has proven itself reports on pods of another node: that they have ended, or are gone. The master counts
// what the node says of itself, and nothing else. The attacker gets nothing.
func TestAttackForgedStatus(t *testing.T) {
	b := besiege(t)
	i := b.insider("mallory")
	liar := &liar{uid: b.kubectl("get", "pod", "app", "-o", "jsonpath={.metadata.uid}")}
	c := b.connect(i)
	link := masterlink.New(masterlink.Config{
		Bus: c, Topics: b.topics, Node: i.name, Run: i.run, LeaderKey: i.token.Signing[:], Box: i.box, Keys: liar,
		Settings: message.Settings{HeartbeatMillis: 1000, TimeoutMillis: 3000},
		Disk:     &forgettingDisk{}, Local: liar, Clock: daemon.Clock, Rand: rand.Reader, Logger: zerolog.Nop(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- link.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	b.until("the liar is a node of the cluster", func() (bool, string) {
		out, err := b.try("get", "node", "mallory", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		return out == "True", seen(out, err)
	})
	b.unharmed()
	if out := b.kubectl("get", "pod", "app", "-o", "jsonpath={.status.phase}{.status.message}"); out != "Running" {
		t.Errorf("the pod is %s", out)
	}
}

// liar says of another node's pod that it has failed and is gone.
type liar struct{ uid string }

func (l *liar) Accept(message.Content) {}

func (l *liar) Statuses() (uint64, []message.PodStatus) {
	status, _ := (&corev1.PodStatus{Phase: corev1.PodFailed, Message: "so says mallory"}).Marshal()
	return 1, []message.PodStatus{
		{UID: l.uid, Namespace: "default", Name: "app", Status: status, Gone: true},
		{UID: l.uid, Namespace: "kube-system", Name: "app", Status: status},
	}
}
func (l *liar) Unconfirm()              {}
func (l *liar) Grant(message.Grant)     {}
func (l *liar) Permits() (bool, uint64) { return false, 0 }
func (l *liar) Release([]string)        {}
func (l *liar) TakeReleased() []string  { return nil }

func (l *liar) TakeEvents() []message.Event {
	return []message.Event{{UID: l.uid, Namespace: "default", Name: "app", Warning: true, Reason: "Mallory", Message: "was here", Count: 1}}
}
func (l *liar) Node() []byte                    { data, _ := (&corev1.Node{}).Marshal(); return data }
func (l *liar) Readings() message.Readings      { return message.Readings{} }
func (l *liar) Next() ([32]byte, error)         { return [32]byte{}, fmt.Errorf("no") }
func (l *liar) Use([32]byte) (*seal.Box, error) { return nil, fmt.Errorf("no") }
func (l *liar) Revoked(int64) error             { return nil }

// forgettingDisk keeps nothing.
type forgettingDisk struct{}

func (*forgettingDisk) Desired() (message.Position, message.Digest, []byte, error) {
	return message.Position{}, message.Digest{}, nil, nil
}
func (*forgettingDisk) KeepDesired(message.Position, message.Digest, []byte) error { return nil }
func (*forgettingDisk) KeepPosition(message.Position) error                        { return nil }
func (*forgettingDisk) Epoch() (message.Epoch, error)                              { return message.Epoch{}, nil }
func (*forgettingDisk) KeepEpoch(message.Epoch) error                              { return nil }

// Packets that are none, too large, or cut short, from strangers and from a node: the broker ends the connection and goes
// on. The attacker gets nothing. (A million inputs for each decoder are tried beside the code: see make fuzz.)
func TestAttackMalformedFrames(t *testing.T) {
	b := besiege(t)
	token := b.token()
	address := strings.TrimPrefix(token.Brokers[0], "mqtts://")
	for name, payload := range map[string][]byte{
		"not MQTT":             []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"an endless length":    {0x10, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a huge CONNECT":       append([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}, make([]byte, 64<<10)...),
		"PUBLISH comes first":  {0x30, 0x03, 0x00, 0x01, 'x'},
		"a CONNECT cut short":  {0x10, 0x20, 0x00, 0x04, 'M', 'Q'},
		"reserved packet type": {0xf0, 0x00},
	} {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // an attacker does not care
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		conn.Write(payload) // fails where the broker has closed the connection meanwhile
		conn.CloseWrite()
		if n, err := conn.Read(make([]byte, 16)); err == nil && n > 4 {
			t.Errorf("%s: the broker answers with %d bytes", name, n)
		}
		conn.Close()
	}

	i := b.insider("mallory")
	for _, payload := range [][]byte{{}, {2}, bytes.Repeat([]byte{2}, 40), bytes.Repeat([]byte{0xff}, 500<<10)} {
		c := b.connect(i)
		for _, channel := range []string{protocol.Hello, protocol.Beat, protocol.Presence, protocol.Status, protocol.Response} {
			if err := c.Publish(b.topics.Node(i.name, channel), payload, 1, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.unharmed()
}
