package broker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/seal"
)

const (
	password = "the node's password"
	patience = 20 * time.Second
)

func testTopics(t *testing.T) protocol.Topics {
	t.Helper()
	topics, err := protocol.NewTopics("test")
	if err != nil {
		t.Fatal(err)
	}
	return topics
}

// accounts are nodes that all have the same password, one that was removed, and one join token.
type accounts struct{}

const (
	removed      = "removed"
	joinPassword = "the token's password"
)

func (accounts) Node(name string) [][sha256.Size]byte {
	if name == "nobody" {
		return nil
	}
	return [][sha256.Size]byte{sha256.Sum256([]byte("its next one")), sha256.Sum256([]byte(password))}
}

func (accounts) Removed(name string) bool { return name == removed }

func (accounts) Join(hash [sha256.Size]byte) bool { return hash == sha256.Sum256([]byte(joinPassword)) }

// serve runs a broker without TLS on a loopback port.
func serve(t *testing.T, change func(*Config)) (b *Broker, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Topics: testTopics(t), Cluster: "test", Listener: listener, Accounts: accounts{}, Log: zerolog.Nop()}
	if change != nil {
		change(&config)
	}
	b, err = New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b, listener.Addr().String()
}

// peer speaks MQTT packet by packet.
type peer struct {
	t *testing.T
	net.Conn
}

func dial(t *testing.T, address string) peer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return peer{t, conn}
}

func (p peer) send(packet packets.ControlPacket) {
	p.t.Helper()
	if err := packet.Write(p); err != nil {
		p.t.Fatal(err)
	}
}

// read is the next packet, or nil when the broker has closed the connection.
func (p peer) read() packets.ControlPacket {
	p.t.Helper()
	packet, err := packets.ReadPacket(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatal("the broker neither answers nor closes the connection")
	}
	if err != nil {
		return nil
	}
	return packet
}

func connectPacket(node string) *packets.ConnectPacket {
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion, p.CleanSession, p.Keepalive = "MQTT", 4, true, 60
	p.ClientIdentifier = mqtt.NodeClientID("test", node)
	p.UsernameFlag, p.Username, p.PasswordFlag, p.Password = true, node, true, []byte(password)
	return p
}

// connect logs a node in.
func connect(t *testing.T, address, node string) peer {
	t.Helper()
	p := dial(t, address)
	p.send(connectPacket(node))
	if ack, ok := p.read().(*packets.ConnackPacket); !ok || ack.ReturnCode != packets.Accepted {
		t.Fatalf("%s is not let in: %v", node, ack)
	}
	return p
}

func publishPacket(topic string, qos byte, payload string) *packets.PublishPacket {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Qos, p.MessageID, p.Payload = topic, qos, 1, []byte(payload)
	return p
}

func subscribePacket(filter string) *packets.SubscribePacket {
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	p.MessageID, p.Topics, p.Qoss = 2, []string{filter}, []byte{1}
	return p
}

// Who may connect.
func TestAccounts(t *testing.T) {
	t.Parallel()
	b, address := serve(t, nil)
	topics := testTopics(t)
	const refused, closed = packets.ErrRefusedNotAuthorised, byte(255)
	for name, c := range map[string]struct {
		change func(*packets.ConnectPacket)
		want   byte
	}{
		"a node":            {func(p *packets.ConnectPacket) {}, packets.Accepted},
		"its next password": {func(p *packets.ConnectPacket) { p.Password = []byte("its next one") }, packets.Accepted},
		"who has no key":    {func(p *packets.ConnectPacket) { setNode(p, "nobody") }, refused},
		"a removed node": {func(p *packets.ConnectPacket) {
			setNode(p, removed)
			setWill(p, topics.Node(removed, protocol.Presence))
		}, packets.Accepted},
		"who joins":         {func(p *packets.ConnectPacket) { setJoin(p, "a1") }, packets.Accepted},
		"with a will":       {func(p *packets.ConnectPacket) { setJoin(p, "a1"); setWill(p, topics.Node("a1", protocol.Presence)) }, refused},
		"with a node's id":  {func(p *packets.ConnectPacket) { setJoin(p, "a1"); p.ClientIdentifier = mqtt.NodeClientID("test", "n1") }, refused},
		"without an id":     {func(p *packets.ConnectPacket) { setJoin(p, "") }, refused},
		"with a filter":     {func(p *packets.ConnectPacket) { setJoin(p, "+") }, refused},
		"with a node's key": {func(p *packets.ConnectPacket) { setJoin(p, "a1"); p.Password = []byte(password) }, refused},
		"a node, by token":  {func(p *packets.ConnectPacket) { p.Password = []byte(joinPassword) }, refused},
		"wrong password":    {func(p *packets.ConnectPacket) { p.Password = []byte("guess") }, refused},
		"longer password":   {func(p *packets.ConnectPacket) { p.Password = []byte(password + "x") }, refused},
		"no password":       {func(p *packets.ConnectPacket) { p.PasswordFlag = false }, refused},
		"no user":           {func(p *packets.ConnectPacket) { p.Username = "" }, refused},
		"anonymous":         {func(p *packets.ConnectPacket) { p.UsernameFlag, p.PasswordFlag = false, false }, refused},
		"no node name":      {func(p *packets.ConnectPacket) { p.Username = "a/b" }, refused},
		"a wildcard":        {func(p *packets.ConnectPacket) { p.Username = "+" }, refused},
		"the master's name": {func(p *packets.ConnectPacket) { p.Username = MasterUser }, refused},
		"another's id":      {func(p *packets.ConnectPacket) { p.ClientIdentifier = mqtt.NodeClientID("test", "other") }, refused},
		"the master's id":   {func(p *packets.ConnectPacket) { p.ClientIdentifier = mqtt.MasterClientID("test", "m") }, refused},
		"no id":             {func(p *packets.ConnectPacket) { p.ClientIdentifier = "" }, refused},
		"its own will":      {func(p *packets.ConnectPacket) { setWill(p, topics.Node("node-1", protocol.Presence)) }, packets.Accepted},
		"another's will":    {func(p *packets.ConnectPacket) { setWill(p, topics.Node("other", protocol.Presence)) }, refused},
		"the leader's will": {func(p *packets.ConnectPacket) { setWill(p, topics.Leader()) }, refused},
		"a lasting session": {func(p *packets.ConnectPacket) { p.CleanSession = false }, closed},
		"no keep-alive":     {func(p *packets.ConnectPacket) { p.Keepalive = 0 }, closed},
		"an old protocol":   {func(p *packets.ConnectPacket) { p.ProtocolName, p.ProtocolVersion = "MQIsdp", 3 }, packets.ErrRefusedBadProtocolVersion},
		"a huge will": {func(p *packets.ConnectPacket) {
			setWill(p, topics.Node("node-1", protocol.Presence))
			p.WillMessage = make([]byte, 8<<10)
		}, closed},
		"a subscription 1st": {nil, closed},
	} {
		p := dial(t, address)
		packet := connectPacket("node-1")
		if c.change != nil {
			c.change(packet)
			p.send(packet)
		} else {
			p.send(subscribePacket(topics.Leader()))
		}
		got := closed
		if ack, ok := p.read().(*packets.ConnackPacket); ok {
			got = ack.ReturnCode
		}
		if got != c.want {
			t.Errorf("%s: answered with %d, want %d", name, got, c.want)
		}
		if got != packets.Accepted && p.read() != nil {
			t.Errorf("%s: the connection stays open", name)
		}
		p.Close()
	}
	if b.access.refused.Load() == 0 {
		t.Error("no refusal was counted")
	}
}

func setNode(p *packets.ConnectPacket, name string) {
	p.Username, p.ClientIdentifier = name, mqtt.NodeClientID("test", name)
}

func setJoin(p *packets.ConnectPacket, id string) {
	p.Username, p.Password, p.ClientIdentifier = seal.JoinUser, []byte(joinPassword), mqtt.JoinClientID("test", id)
}

// login lets in who sends this packet.
func login(t *testing.T, address string, packet *packets.ConnectPacket) peer {
	t.Helper()
	p := dial(t, address)
	p.send(packet)
	if ack, ok := p.read().(*packets.ConnackPacket); !ok || ack.ReturnCode != packets.Accepted {
		t.Fatalf("not let in: %v", ack)
	}
	return p
}

// Who joins has the topics of its own attempt, and a removed node what it needs to be told so.
func TestAccessRulesOfStrangers(t *testing.T) {
	t.Parallel()
	b, address := serve(t, nil)
	topics := testTopics(t)
	inbox := bus.NewInbox(1000, func() {})
	if err := startMaster(t, b).Subscribe("#", 1, inbox); err != nil {
		t.Fatal(err)
	}
	joining, gone := connectPacket("x"), connectPacket("x")
	setJoin(joining, "a1")
	setNode(gone, removed)
	for name, c := range map[string]struct {
		packet         *packets.ConnectPacket
		publish, drops []string // the last of publish shows that all before has been seen
		reads, doesNot []string
	}{
		"who joins": {
			joining,
			[]string{topics.Join("a1", protocol.JoinAsk)},
			[]string{topics.Join("a2", protocol.JoinAsk), topics.Join("a1", protocol.JoinAnswer), topics.Node("a1", protocol.Hello), topics.Leader()},
			[]string{topics.Join("a1", protocol.JoinAnswer)},
			[]string{topics.Join("a2", protocol.JoinAnswer), topics.AllJoins(protocol.JoinAnswer), topics.Join("a1", "#"), topics.Leader(),
				topics.Node("a1", protocol.Desired), "#"},
		},
		"a removed node": {
			gone,
			[]string{topics.Node(removed, protocol.Presence), topics.Node(removed, protocol.Beat), topics.Node(removed, protocol.Hello)},
			[]string{topics.Node(removed, protocol.Status), topics.Node(removed, protocol.Response)},
			[]string{topics.Node(removed, protocol.Request), topics.Node(removed, protocol.Desired), topics.Leader()},
			[]string{topics.Node("n1", protocol.Desired), topics.AllNodes(protocol.Request)},
		},
	} {
		p := login(t, address, c.packet)
		for _, topic := range append(c.drops, c.publish...) {
			p.send(publishPacket(topic, 0, "x"))
		}
		got := map[string]bool{}
		eventually(t, name+": the last message arrives", func() bool {
			for _, m := range inbox.Drain() {
				got[m.Topic] = true
			}
			return got[c.publish[len(c.publish)-1]]
		})
		for _, topic := range c.drops {
			if got[topic] {
				t.Errorf("%s publishes %s", name, topic)
			}
		}
		for may, filters := range map[bool][]string{true: c.reads, false: c.doesNot} {
			for _, filter := range filters {
				p.send(subscribePacket(filter))
				ack, is := p.read().(*packets.SubackPacket)
				if !is || len(ack.ReturnCodes) != 1 || (ack.ReturnCodes[0] <= 1) != may {
					t.Errorf("%s subscribes to %s: %v, want %v", name, filter, ack, may)
				}
			}
		}
	}
}

func setWill(p *packets.ConnectPacket, topic string) {
	p.WillFlag, p.WillQos, p.WillRetain, p.WillTopic, p.WillMessage = true, 1, true, topic, []byte("gone")
}

// A node publishes on its own five channels and reads its own topics and the leader's, nothing else.
func TestAccessRules(t *testing.T) {
	t.Parallel()
	b, address := serve(t, nil)
	topics := testTopics(t)
	inbox := bus.NewInbox(1000, func() {})
	master := startMaster(t, b)
	if err := master.Subscribe("#", 1, inbox); err != nil {
		t.Fatal(err)
	}
	p := connect(t, address, "node-1")
	own := func(channel string) string { return topics.Node("node-1", channel) }
	allowed := []string{own(protocol.Beat), own(protocol.Hello), own(protocol.Presence), own(protocol.Response), own(protocol.Status)}
	denied := []string{own(protocol.Desired), own(protocol.Request), topics.Node("other", protocol.Status), topics.Leader(),
		"skerry/other/n/node-1/hb", own("hb/x"), "$SYS/x", "x"}
	for _, topic := range append(denied, allowed...) { // QoS 0: what is denied is dropped
		p.send(publishPacket(topic, 0, "x"))
	}
	got := map[string]bool{}
	eventually(t, "the last message arrives", func() bool {
		for _, m := range inbox.Drain() {
			got[m.Topic] = true
		}
		return got[own(protocol.Status)]
	})
	want := map[string]bool{}
	for _, topic := range allowed {
		want[topic] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("published: %s", diff)
	}

	for filter, ok := range map[string]bool{
		own(protocol.Desired): true, own(protocol.Request): true, topics.Leader(): true, own("#"): true,
		topics.Node("other", protocol.Desired): false, topics.AllNodes(protocol.Desired): false,
		"#": false, "skerry/test/#": false, "$SYS/#": false, "$share/x/" + own(protocol.Desired): false,
		topics.Node("node-1x", protocol.Desired): false, "skerry/other/m/leader": false,
	} {
		p.send(subscribePacket(filter))
		ack, is := p.read().(*packets.SubackPacket)
		if !is || len(ack.ReturnCodes) != 1 || (ack.ReturnCodes[0] <= 1) != ok {
			t.Errorf("subscribe to %s: %v, want %v", filter, ack, ok)
		}
	}

	// With QoS 1 a denied message ends the connection: 3.1.1 has no other way to say so.
	p.send(publishPacket(topics.Leader(), 1, "I am the master"))
	for packet := p.read(); packet != nil; packet = p.read() {
	}
}

// Only presence is retained for a node.
func TestNodesCanNotFillTheBroker(t *testing.T) {
	t.Parallel()
	b, address := serve(t, nil)
	topics := testTopics(t)
	p := connect(t, address, "node-1")
	for _, channel := range []string{protocol.Status, protocol.Hello, protocol.Presence} {
		packet := publishPacket(topics.Node("node-1", channel), 1, "x")
		packet.Retain = true
		p.send(packet)
		if _, ok := p.read().(*packets.PubackPacket); !ok {
			t.Fatalf("%s is not acknowledged", channel)
		}
	}
	master := startMaster(t, b)
	inbox := bus.NewInbox(1000, func() {})
	if err := master.Subscribe(topics.AllNodes("+"), 1, inbox); err != nil {
		t.Fatal(err)
	}
	var got []string
	eventually(t, "the retained presence arrives", func() bool {
		for _, m := range inbox.Drain() {
			got = append(got, fmt.Sprint(m.Topic, " ", m.Retained))
		}
		return len(got) > 0
	})
	if want := []string{topics.Node("node-1", protocol.Presence) + " true"}; !cmp.Equal(got, want) {
		t.Errorf("retained: %v, want %v", got, want)
	}

	huge := publishPacket(topics.Node("node-1", protocol.Status), 0, strings.Repeat("x", bus.MaxPayload+headerAllowance))
	var raw bytes.Buffer
	if err := huge.Write(&raw); err != nil {
		t.Fatal(err)
	}
	p.Write(raw.Bytes()) // fails when the broker has closed the connection before it was all sent
	if packet := p.read(); packet != nil {
		t.Errorf("a packet that is too large is answered with %v", packet)
	}
}

// Strangers take no more than their share of connections and none of the nodes'; those that say nothing for a while make
// room for whoever comes, from their own address too.
func TestStrangersAreLimited(t *testing.T) {
	t.Parallel()
	var elapsed atomic.Int64
	_, address := serve(t, func(c *Config) { c.Clock = func() clock.Now { return clock.Now{Boot: time.Duration(elapsed.Load())} } })
	var strangers []peer
	for range maxUnknownFrom {
		strangers = append(strangers, dial(t, address))
	}
	eventually(t, "a further stranger is turned away", func() bool {
		p := dial(t, address)
		defer p.Close()
		p.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := p.Read(make([]byte, 1))
		return err == io.EOF || err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	})
	for _, p := range strangers[:2] {
		p.Close()
	}
	eventually(t, "a node is let in when there is room", func() bool {
		p := dial(t, address)
		p.send(connectPacket("node-1"))
		ack, ok := p.read().(*packets.ConnackPacket)
		return ok && ack.ReturnCode == packets.Accepted
	})
	elapsed.Store(int64(unknownGrace))
	for i := range 3 * maxUnknown {
		dial(t, address)
		if i%10 > 0 {
			continue
		}
		connect(t, address, fmt.Sprintf("node-%d", i)) // fails the test when it is not accepted
		elapsed.Add(int64(unknownGrace))
	}
}

func TestTheNumberOfNodesIsLimited(t *testing.T) {
	t.Parallel()
	b, address := serve(t, func(c *Config) { c.MaxNodes = 2 })
	startMaster(t, b)
	connect(t, address, "node-1")
	connect(t, address, "node-2")
	p := dial(t, address)
	p.send(connectPacket("node-3"))
	if ack, ok := p.read().(*packets.ConnackPacket); !ok || ack.ReturnCode != packets.ErrRefusedServerUnavailable {
		t.Errorf("the third of two nodes: %v", ack)
	}
}

// A node that connects again replaces its old connection, and gets its messages.
func TestTakeover(t *testing.T) {
	t.Parallel()
	b, address := serve(t, nil)
	topics := testTopics(t)
	master := startMaster(t, b)
	old := connect(t, address, "node-1")
	for i := range 20 {
		p := connect(t, address, "node-1")
		for packet := old.read(); packet != nil; packet = old.read() {
		}
		p.send(subscribePacket(topics.Node("node-1", protocol.Request)))
		if _, ok := p.read().(*packets.SubackPacket); !ok {
			t.Fatalf("connection %d can't subscribe", i)
		}
		if err := master.Publish(topics.Node("node-1", protocol.Request), []byte("x"), 0, false); err != nil {
			t.Fatal(err)
		}
		if m, ok := p.read().(*packets.PublishPacket); !ok {
			t.Fatalf("connection %d got %v", i, m)
		}
		old = p
	}
}

// One node that reads nothing doesn't keep the others from getting their messages; it is sent away.
func TestASlowNodeHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	b, address := serve(t, nil)
	topics := testTopics(t)
	master := startMaster(t, b)
	slow, quick := connect(t, address, "slow"), connect(t, address, "quick")
	for name, p := range map[string]peer{"slow": slow, "quick": quick} {
		p.send(subscribePacket(topics.Node(name, protocol.Request)))
		if _, ok := p.read().(*packets.SubackPacket); !ok {
			t.Fatalf("%s can't subscribe", name)
		}
	}
	publish := func(node string, qos byte, payload []byte) {
		t.Helper()
		eventually(t, "the bus has room", func() bool {
			return !errors.Is(master.Publish(topics.Node(node, protocol.Request), payload, qos, false), bus.ErrFull)
		})
	}
	payload := make([]byte, 64<<10)
	for i := range 512 { // 32 MB, more than any buffer in between
		publish("slow", byte(i%2), payload)
		if i%16 == 0 {
			publish("quick", 0, []byte("x"))
			if _, ok := quick.read().(*packets.PublishPacket); !ok {
				t.Fatalf("after %d messages to the slow node the quick one gets none", i)
			}
		}
	}
	for packet := slow.read(); packet != nil; packet = slow.read() {
	}
}

func startMaster(t *testing.T, b *Broker) *Local {
	t.Helper()
	master := b.Local()
	eventually(t, "the broker runs", func() bool { return master.Err() == nil })
	return master
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// A broker whose master does not lead lets nobody in, and ends the connections of before.
func TestLetIn(t *testing.T) {
	b, address := serve(t, func(c *Config) { c.Closed = true })
	refused := func() {
		t.Helper()
		p := dial(t, address)
		p.send(connectPacket("node-1"))
		if packet := p.read(); packet != nil {
			t.Fatalf("a node is answered %v", packet)
		}
	}
	refused()
	b.LetIn(true)
	p := connect(t, address, "node-1")
	b.LetIn(false)
	if packet := p.read(); packet != nil {
		t.Errorf("the connection stays, with %v", packet)
	}
	refused()
	b.LetIn(true)
	connect(t, address, "node-1")
}
