package mqtt

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/ca"
)

func TestBrokerURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"mqtts://master.example":        "mqtts://master.example:8883",
		"mqtts://192.0.2.1:99/":         "mqtts://192.0.2.1:99",
		"mqtts://[2001:db8::1]":         "mqtts://[2001:db8::1]:8883",
		"tcp://user:secret@broker:1884": "tcp://broker:1884",
		"ws://broker":                   "ws://broker:80/mqtt",
		"wss://broker/elsewhere":        "wss://broker:443/elsewhere",
	} {
		b, err := ParseBroker(text)
		if err != nil || b.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, b, err, want)
		}
	}
	for _, text := range []string{"", "broker:1883", "broker", "http://broker", "mqtts://", "mqtts://:8883", "tcp://b/path",
		"tcp://b:0", "tcp://b:99999", "tcp://b:x", "tcp://b?x=y", "tcp://user:secret@b:x", "mqtts:b"} {
		b, err := ParseBroker(text)
		if err == nil {
			t.Errorf("%q passes as %s", text, b)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %q", text, err)
		}
	}
	if _, err := ParseBrokers([]string{"tcp://b", "tcp://b:1883"}); err == nil {
		t.Error("the same broker passes twice")
	}
	b, err := ParseBroker("tcp://user:secret@b")
	if err != nil {
		t.Fatal(err)
	}
	if user, password := b.credentials("other", "x"); user != "user" || password != "secret" {
		t.Errorf("credentials of the URL: %s %s", user, password)
	}
	b, _ = ParseBroker("tcp://b")
	if user, password := b.credentials("node", "token"); user != "node" || password != "token" {
		t.Errorf("credentials of the configuration: %s %s", user, password)
	}
}

// Full jitter: evenly between 0 and a bound that doubles up to the cap.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tries   int
		longest time.Duration
		random  float64
		want    time.Duration
	}{
		{0, time.Minute, 0, 0},
		{0, time.Minute, 0.5, 500 * time.Millisecond},
		{1, time.Minute, 0.5, time.Second},
		{5, time.Minute, 0.5, 16 * time.Second},
		{6, time.Minute, 0.5, 30 * time.Second},
		{1000, time.Minute, 0.5, 30 * time.Second},
		{1000, 15 * time.Second, 0.5, 7500 * time.Millisecond},
	} {
		if got := backoff(c.tries, c.longest, c.random); got != c.want {
			t.Errorf("try %d, cap %s: %s, want %s", c.tries, c.longest, got, c.want)
		}
	}
}

func publishPacket(t testing.TB, topic string, qos byte, size int) []byte {
	t.Helper()
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Qos, p.MessageID, p.Payload = topic, qos, 7, bytes.Repeat([]byte{'x'}, size)
	var out bytes.Buffer
	if err := p.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What the guard lets through is what paho reads: small packets whole, oversized ones without their payload.
func TestGuardCutsOversizedMessages(t *testing.T) {
	t.Parallel()
	var stream []byte
	for _, p := range []struct {
		topic string
		qos   byte
		size  int
	}{{"small", 0, 3}, {"largest", 1, bus.MaxPayload}, {"huge0", 0, 1 << 20}, {"huge1", 1, 2 << 20}, {"last", 0, 1}} {
		stream = append(stream, publishPacket(t, p.topic, p.qos, p.size)...)
	}
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		server.Write(stream)
		server.Close()
	}()
	oversized := 0
	conn := newGuardedConn(client, func() { oversized++ })
	var got []string
	for {
		packet, err := packets.ReadPacket(conn)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p := packet.(*packets.PublishPacket)
		got = append(got, fmt.Sprintf("%s qos %d id %d: %d bytes", p.TopicName, p.Qos, p.MessageID, len(p.Payload)))
	}
	want := []string{
		"small qos 0 id 0: 3 bytes",
		"largest qos 1 id 7: 524288 bytes",
		"huge0 qos 0 id 0: 0 bytes",
		"huge1 qos 1 id 7: 0 bytes",
		"last qos 0 id 0: 1 bytes",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if oversized != 2 {
		t.Errorf("%d were counted as oversized", oversized)
	}
}

// A broker can't make the guard panic, nor paho allocate more than a packet may have.
func FuzzGuard(f *testing.F) {
	f.Add(publishPacket(f, "a", 1, 10))
	f.Add([]byte{0x90, 4, 0, 1, 0, 0})                         // a SUBACK with two codes
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x01})    // 256 MB
	f.Add([]byte{0x32, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 1}) // with a topic of 64 kB
	f.Fuzz(func(t *testing.T, stream []byte) {
		conn := newGuardedConn(stub{Reader: bytes.NewReader(stream)}, func() {})
		for {
			packet, err := packets.ReadPacket(conn)
			if err != nil {
				return
			}
			if p, ok := packet.(*packets.PublishPacket); ok && len(p.Payload) > maxPacket {
				t.Fatalf("a payload of %d bytes", len(p.Payload))
			}
			if s, ok := packet.(*packets.SubackPacket); ok && len(s.ReturnCodes) != 1 {
				t.Fatalf("%d return codes", len(s.ReturnCodes))
			}
		}
	})
}

type stub struct {
	net.Conn
	io.Reader
}

func (s stub) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// A pinned authority is found by its hash in the chain; dates don't matter, everything else does.
func TestPinnedVerification(t *testing.T) {
	t.Parallel()
	ours, err := ca.New(rand.Reader, "ours")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ca.New(rand.Reader, "theirs")
	if err != nil {
		t.Fatal(err)
	}
	longAgo := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // it has long expired
	server, forged := Expired(t, ours, "master", "192.0.2.1"), Expired(t, theirs, "master")
	user, err := ours.Client(rand.Reader, "master", nil, longAgo)
	if err != nil {
		t.Fatal(err)
	}
	pin := seal.HashCA(ours.Certificate)
	for name, c := range map[string]struct {
		chain []*x509.Certificate
		host  string
		ok    bool
	}{
		"by name":                        {[]*x509.Certificate{server.Leaf, ours.Certificate}, "master", true},
		"by address":                     {[]*x509.Certificate{server.Leaf, ours.Certificate}, "192.0.2.1", true},
		"among others":                   {[]*x509.Certificate{server.Leaf, theirs.Certificate, ours.Certificate}, "master", true},
		"another name":                   {[]*x509.Certificate{server.Leaf, ours.Certificate}, "other", false},
		"no authority":                   {[]*x509.Certificate{server.Leaf}, "master", false},
		"no certificate":                 {nil, "master", false},
		"the authority itself":           {[]*x509.Certificate{ours.Certificate}, "master", false},
		"another authority":              {[]*x509.Certificate{forged.Leaf, theirs.Certificate}, "master", false},
		"ours beside a forged signature": {[]*x509.Certificate{forged.Leaf, ours.Certificate}, "master", false},
		"ours and theirs, theirs signed": {[]*x509.Certificate{forged.Leaf, theirs.Certificate, ours.Certificate}, "master", false},
		"a user's certificate":           {[]*x509.Certificate{user.Leaf, ours.Certificate}, "master", false},
	} {
		if err := ca.VerifyPinned(c.chain, c.host, pin); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The operator reads what is wrong and what to do.
func TestFailuresAreExplained(t *testing.T) {
	t.Parallel()
	b, err := ParseBroker("mqtts://user:secret@master:8883")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"refused port":   {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "nothing listens there"},
		"wrong password": {packets.ErrorRefusedBadUsernameOrPassword, "refuses the user name or password"},
		"not authorised": {packets.ErrorRefusedNotAuthorised, "join again with a new token"},
		"unknown CA":     {x509.UnknownAuthorityError{}, "unknown authority"},
		"other cluster":  {ca.ErrOther, "not signed by this cluster's authority"},
		"unknown host":   {&net.DNSError{IsNotFound: true}, "host name is not known"},
		"silence":        {errNoAnswer, "does not answer"},
		"end":            {io.EOF, "the connection was closed"},
		"anything else":  {errors.New("gremlins"), "gremlins"},
	} {
		got := explain(b, c.err)
		if !strings.HasPrefix(got.Error(), "broker mqtts://master:8883: ") || !strings.Contains(got.Error(), c.want) || strings.Contains(got.Error(), "secret") {
			t.Errorf("%s: %q", name, got)
		}
		if !errors.Is(got, c.err) && name != "unknown CA" {
			t.Errorf("%s: the cause is lost", name)
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	q := newQueue(2, 10)
	for i, c := range []struct {
		size int
		want error
	}{{6, nil}, {5, bus.ErrFull}, {4, nil}, {0, bus.ErrFull}} {
		if err := q.push(item{payload: make([]byte, c.size)}); err != c.want {
			t.Errorf("push %d: %v, want %v", i, err, c.want)
		}
	}
	if i, ok := q.pop(); !ok || len(i.payload) != 6 {
		t.Errorf("popped %v, %v", i, ok)
	}
	if err := q.push(item{payload: make([]byte, 6)}); err != nil {
		t.Errorf("after a pop: %v", err)
	}
	if n := q.clear(); n != 2 {
		t.Errorf("cleared %d", n)
	}
	if _, ok := q.pop(); ok {
		t.Error("popped from an empty queue")
	}
}

// A caller learns at once of what no broker would take.
func TestNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	broker, _ := ParseBroker("tcp://b")
	b, err := New(Config{Brokers: []Broker{broker}})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"an empty topic":     b.Publish("", nil, 0, false),
		"a wildcard":         b.Publish("a/+", nil, 0, false),
		"QoS 2":              b.Publish("a", nil, 2, false),
		"a huge payload":     b.Publish("a", make([]byte, bus.MaxPayload+1), 0, false),
		"a NUL":              b.Publish("a\x00", nil, 0, false),
		"a wrong filter":     b.Subscribe("a/#/b", 0, bus.NewInbox(1, func() {})),
		"an endless topic":   b.Publish(strings.Repeat("x", 1<<16), nil, 0, false),
		"no UTF-8 in topics": b.Publish("\xff", nil, 0, false),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if err := b.Publish("a", nil, 1, false); err != nil {
		t.Errorf("without a connection: %v", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a bus without brokers was made")
	}
}
