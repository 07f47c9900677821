package wire

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/edgeagent/join"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/enroll"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

// gatehouse is a master that lets machines join, and the broker in front of it.
type gatehouse struct {
	t      *testing.T
	random *rand.Rand
	now    clock.Now
	topics protocol.Topics
	bus    *bus.Memory
	store  *refusing
	run    uint32
	line   *bus.Client
	master *enroll.Enroller
	// passes decides what becomes of a packet; nil: all arrive.
	passes func(bus.Packet) bool
	sent   []bus.Packet
}

// refusing is a store that may be full.
type refusing struct {
	*store.Memory
	full bool
}

func (s *refusing) Commit(ctx context.Context, changes []change.Change) (change.Rev, error) {
	if s.full {
		return 0, errors.New("no space left on device")
	}
	return s.Memory.Commit(ctx, changes)
}

func newGatehouse(t *testing.T) *gatehouse {
	topics, err := protocol.NewTopics(cluster.Name)
	if err != nil {
		t.Fatal(err)
	}
	g := &gatehouse{
		t: t, random: rand.New(rand.NewSource(1)), topics: topics,
		now:   clock.Now{Wall: time.Unix(1_800_000_000, 0), Boot: time.Hour},
		bus:   bus.NewMemory(bus.MemoryConfig{Held: true, Queue: 1 << 12}),
		store: &refusing{Memory: store.NewMemory(store.Config{Schema: resource.Schema()})},
	}
	g.startMaster()
	return g
}

func (g *gatehouse) startMaster() {
	if g.line != nil {
		g.line.Lose()
	}
	g.run++
	g.line = g.bus.Client(bus.ClientConfig{ID: "master"})
	g.master = enroll.New(enroll.Config{
		Store: g.store, Bus: g.line, Topics: g.topics, Cluster: cluster.Name, Key: cluster.Keys.Exchange,
		Run: seal.Run{Number: g.run, Nonce: g.random.Uint64()}, Rand: g.random, Logger: zerolog.Nop(),
	})
	if err := g.line.Connect(); err != nil {
		g.t.Fatal(err)
	}
}

// token makes one with this much life, for so many nodes.
func (g *gatehouse) token(ttl time.Duration, uses uint32) seal.Token {
	g.t.Helper()
	token := seal.Token{Cluster: cluster.Name, Secret: make([]byte, seal.SecretSize)}
	g.random.Read(token.Secret)
	token.Exchange, token.Signing = cluster.Keys.Public()
	id, record := resource.NewJoinToken(token.Secret, g.now.Wall, ttl, uses, "")
	g.commit(change.Change{Key: change.Key{Kind: resource.JoinTokenKind, Name: id}, Value: resource.EncodeJoinToken(record)})
	return token
}

func (g *gatehouse) commit(c change.Change) {
	g.t.Helper()
	c.Base = change.Any
	if _, err := g.store.Memory.Commit(context.Background(), []change.Change{c}); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gatehouse) editToken(token seal.Token, edit func(*resource.JoinToken)) resource.JoinToken {
	g.t.Helper()
	key := change.Key{Kind: resource.JoinTokenKind, Name: token.ID()}
	rec, _ := g.store.View().Get(key)
	record, err := resource.DecodeJoinToken(rec.Value)
	if err != nil {
		g.t.Fatal(err)
	}
	if edit != nil {
		edit(&record)
		g.commit(change.Change{Key: key, Value: resource.EncodeJoinToken(record)})
	}
	return record
}

// nodeKey is what the store has of a node.
func (g *gatehouse) nodeKey(name string) (resource.NodeKey, bool) {
	g.t.Helper()
	rec, ok := g.store.View().Get(change.Key{Kind: resource.NodeKeyKind, Name: name})
	if !ok {
		return resource.NodeKey{}, false
	}
	key, err := resource.DecodeNodeKey(rec.Value)
	if err != nil {
		g.t.Fatal(err)
	}
	return key, true
}

// key is a node's key pair: the same for the same number.
func key(t *testing.T, number byte) *ecdh.PrivateKey {
	t.Helper()
	k, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{number}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// applicant is a machine that wants to join. Its own clock stands at 1970.
type applicant struct {
	g       *gatehouse
	client  *bus.Client
	attempt *join.Attempt
	next    clock.Now
	verdict message.JoinVerdict
}

func (g *gatehouse) apply(name string, number byte, token seal.Token) *applicant {
	g.t.Helper()
	id, err := join.NewID(g.random)
	if err != nil {
		g.t.Fatal(err)
	}
	a := &applicant{g: g, client: g.bus.Client(bus.ClientConfig{ID: id}), next: clock.Now{}}
	a.attempt, err = join.New(join.Config{
		Bus: a.client, Topics: g.topics, ID: id, Node: name, Key: key(g.t, number), Token: token,
		Run: seal.Run{Number: 1, Nonce: g.random.Uint64()}, Rand: g.random, Logger: zerolog.Nop(), NextBroker: func() {},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	if err := a.attempt.Start(); err != nil {
		g.t.Fatal(err)
	}
	if err := a.client.Connect(); err != nil {
		g.t.Fatal(err)
	}
	return a
}

// until steps both ends, for at most d, until the applicants have their verdicts.
func (g *gatehouse) until(d time.Duration, applicants ...*applicant) {
	g.t.Helper()
	for end := g.now.Add(d); !g.now.Reached(end); {
		for range 20 { // a message and its answer, back and forth
			for _, a := range applicants {
				if a.verdict == "" {
					a.next, a.verdict = a.attempt.Step(clock.Now{Boot: g.now.Boot})
				}
			}
			if _, err := g.master.Step(g.now); err != nil {
				g.t.Fatal(err)
			}
			for _, p := range g.bus.Take() {
				g.sent = append(g.sent, p)
				if g.passes == nil || g.passes(p) {
					g.bus.Deliver(p)
				}
			}
		}
		waiting := false
		for _, a := range applicants {
			waiting = waiting || a.verdict == ""
		}
		if !waiting {
			return
		}
		g.now = g.now.Add(time.Second)
	}
}

func TestVerdicts(t *testing.T) {
	other := sealtest.NewCluster("other")
	for name, c := range map[string]struct {
		node  string
		setUp func(*gatehouse) seal.Token
		want  message.JoinVerdict
	}{
		"a good token": {"n1", func(g *gatehouse) seal.Token { return g.token(time.Hour, 1) }, message.Joined},
		"one for ever": {"n1", func(g *gatehouse) seal.Token { return g.token(0, 0) }, message.Joined},
		"just in time": {"n1", func(g *gatehouse) seal.Token {
			token := g.token(time.Hour, 1)
			g.now = g.now.Add(time.Hour - 2*time.Second)
			return token
		}, message.Joined},
		"too late": {"n1", func(g *gatehouse) seal.Token {
			token := g.token(time.Hour, 1)
			g.now = g.now.Add(time.Hour)
			return token
		}, message.TokenExpired},
		"used up": {"n1", func(g *gatehouse) seal.Token {
			token := g.token(time.Hour, 2)
			g.editToken(token, func(t *resource.JoinToken) { t.Used = 2 })
			return token
		}, message.TokenUsedUp},
		"revoked": {"n1", func(g *gatehouse) seal.Token {
			token := g.token(time.Hour, 2)
			g.editToken(token, func(t *resource.JoinToken) { t.Revoked = 1 })
			return token
		}, message.TokenRevoked},
		"a wrong secret": {"n1", func(g *gatehouse) seal.Token { return g.token(time.Hour, 1) }, message.TokenUnknown},
		"not a name":     {"N 1", func(g *gatehouse) seal.Token { return g.token(time.Hour, 1) }, message.NameInvalid},
		"a taken name": {"n1", func(g *gatehouse) seal.Token {
			g.commit(change.Change{Key: change.Key{Kind: resource.NodeKeyKind, Name: "n1"}, Value: resource.EncodeNodeKey(resource.NodeKey{Key: [32]byte{9}, Node: "u"})})
			return g.token(time.Hour, 1)
		}, message.NameTaken},
		"a taken name, with a bad token": {"n1", func(g *gatehouse) seal.Token {
			g.commit(change.Change{Key: change.Key{Kind: resource.NodeKeyKind, Name: "n1"}, Value: resource.EncodeNodeKey(resource.NodeKey{Key: [32]byte{9}, Node: "u"})})
			token := g.token(time.Hour, 1)
			g.editToken(token, func(t *resource.JoinToken) { t.Revoked = 1 })
			return token
		}, message.TokenRevoked},
		"a name that is free again": {"n1", func(g *gatehouse) seal.Token {
			g.commit(change.Change{Key: change.Key{Kind: resource.NodeKeyKind, Name: "n1"}, Value: resource.EncodeNodeKey(resource.NodeKey{Key: [32]byte{9}, Node: "u1", Revoked: 5})})
			return g.token(time.Hour, 1)
		}, message.Joined},
		"another cluster's token": {"n1", func(g *gatehouse) seal.Token {
			token := g.token(time.Hour, 1)
			token.Exchange, token.Signing = other.Keys.Public()
			return token
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGatehouse(t)
			token := c.setUp(g)
			before := g.editToken(token, nil)
			shown := token
			if c.want == message.TokenUnknown {
				// The id follows from the secret: one that nobody knows takes the way of a wrong secret.
				shown.Secret = bytes.Repeat([]byte{7}, seal.SecretSize)
			}
			a := g.apply(c.node, 1, shown)
			g.until(30*time.Second, a)
			equal(t, "verdict", a.verdict, c.want)
			stored, ok := g.nodeKey("n1")
			if c.want == message.Joined {
				equal(t, "the stored key", stored, resource.NodeKey{Key: [32]byte(key(t, 1).PublicKey().Bytes()), Token: token.ID(), Joined: g.now.Wall.Unix()})
				equal(t, "uses", g.editToken(token, nil).Used, before.Used+1)
			} else {
				if ok && stored.Key == [32]byte(key(t, 1).PublicKey().Bytes()) {
					t.Error("the key was stored")
				}
				equal(t, "uses", g.editToken(token, nil).Used, before.Used)
			}
			if (a.attempt.Err() != nil) != (c.want == "") {
				t.Errorf("the machine says: %v", a.attempt.Err())
			}
			for _, p := range g.sent {
				if bytes.Contains(p.Payload, token.Secret) {
					t.Error("the secret travels in the clear")
				}
			}
		})
	}
}

// Whatever is lost is said again; the token is used once.
func TestJoiningOverABadLink(t *testing.T) {
	for seed := range int64(40) {
		g := newGatehouse(t)
		losses := rand.New(rand.NewSource(seed))
		g.passes = func(bus.Packet) bool { return losses.Float64() > 0.2 } // of each half of a way
		token := g.token(24*time.Hour, 1)
		a := g.apply("n1", 1, token)
		g.until(3*time.Hour, a)
		equal(t, "verdict", a.verdict, message.Joined)
		equal(t, "uses", g.editToken(token, nil).Used, 1)
	}
}

// A machine whose verdict was lost asks again, in another process, with the same key: it has joined, and nothing more
// is used up. With another key the name is taken.
func TestAskingAgain(t *testing.T) {
	g := newGatehouse(t)
	token := g.token(time.Hour, 1)
	first := g.apply("n1", 1, token)
	g.passes = func(p bus.Packet) bool { return p.Up || first.verdict == "" && len(g.sent) < 4 } // the verdict never arrives
	g.until(5*time.Second, first)
	equal(t, "the first verdict", first.verdict, "")
	g.passes = nil
	again := g.apply("n1", 1, token)
	g.until(time.Minute, again)
	equal(t, "verdict", again.verdict, message.Joined)
	equal(t, "uses", g.editToken(token, nil).Used, 1)
	stranger := g.apply("n1", 2, g.token(time.Hour, 1))
	g.until(time.Minute, stranger)
	equal(t, "the stranger's verdict", stranger.verdict, message.NameTaken)
}

// Of two machines that want one name one gets it, and of two that show a token for one node one is let in.
func TestRaces(t *testing.T) {
	g := newGatehouse(t)
	token := g.token(time.Hour, 0)
	a, b := g.apply("n1", 1, token), g.apply("n1", 2, token)
	g.until(time.Minute, a, b)
	equal(t, "one name", map[message.JoinVerdict]bool{a.verdict: true, b.verdict: true}, map[message.JoinVerdict]bool{message.Joined: true, message.NameTaken: true})
	token = g.token(time.Hour, 1)
	a, b = g.apply("n2", 3, token), g.apply("n3", 4, token)
	g.until(time.Minute, a, b)
	equal(t, "one use", map[message.JoinVerdict]bool{a.verdict: true, b.verdict: true}, map[message.JoinVerdict]bool{message.Joined: true, message.TokenUsedUp: true})
}

// A master that restarts in the middle knows nothing of the attempt: it begins anew, by itself.
func TestTheMasterRestartsMeanwhile(t *testing.T) {
	g := newGatehouse(t)
	token := g.token(time.Hour, 1)
	a := g.apply("n1", 1, token)
	g.passes = func(p bus.Packet) bool { return len(g.sent) < 3 } // ask, challenge; the proof is lost
	g.until(3*time.Second, a)
	g.startMaster()
	g.passes = nil
	g.until(time.Minute, a)
	equal(t, "verdict", a.verdict, message.Joined)
	equal(t, "uses", g.editToken(token, nil).Used, 1)
}

// A master that can't store the key says so and lets the machine in when it can.
func TestTheMastersDiskIsFull(t *testing.T) {
	g := newGatehouse(t)
	token := g.token(time.Hour, 1)
	a := g.apply("n1", 1, token)
	g.store.full = true
	g.until(20*time.Second, a)
	if a.verdict != "" || a.attempt.Err() == nil {
		t.Errorf("verdict %q, the machine says: %v", a.verdict, a.attempt.Err())
	}
	g.store.full = false
	g.until(2*time.Minute, a)
	equal(t, "verdict", a.verdict, message.Joined)
}

// What was recorded of a join is worth nothing: not to the same master, not to the next one, not under another id.
func TestARecordedJoin(t *testing.T) {
	g := newGatehouse(t)
	token := g.token(time.Hour, 0)
	a := g.apply("n1", 1, token)
	g.until(time.Minute, a)
	equal(t, "verdict", a.verdict, message.Joined)
	recorded := g.sent
	forget := change.Change{Key: change.Key{Kind: resource.NodeKeyKind, Name: "n1"}}
	replay := func(what string) {
		t.Helper()
		g.commit(forget) // so that it would show
		thief := g.bus.Client(bus.ClientConfig{ID: "thief"})
		if err := thief.Connect(); err != nil {
			t.Fatal(err)
		}
		for _, p := range recorded {
			if p.Up && p.Client != "master" {
				if err := thief.Publish(p.Topic, p.Payload, 1, false); err != nil {
					t.Fatal(err)
				}
				if err := thief.Publish(g.topics.Join("another", protocol.JoinAsk), p.Payload, 1, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		g.until(5 * time.Second)
		for range 3 {
			g.until(time.Second)
		}
		if _, ok := g.nodeKey("n1"); ok {
			t.Errorf("%s: a recorded join was acted upon", what)
		}
		thief.Lose()
	}
	replay("by the same master")
	g.now = g.now.Add(2 * time.Minute)
	replay("later")
	g.startMaster()
	replay("by the next master")
}

// A fleet that is switched on at one moment joins within seconds.
func TestAFleetJoins(t *testing.T) {
	g := newGatehouse(t)
	token := g.token(time.Hour, 0)
	var fleet []*applicant
	for i := range 300 {
		fleet = append(fleet, g.apply(fmt.Sprintf("n%d", i), byte(1+i%200), token))
	}
	g.until(5*time.Second, fleet...)
	for i, a := range fleet {
		if a.verdict != message.Joined {
			t.Fatalf("machine %d: %q", i, a.verdict)
		}
	}
	equal(t, "uses", g.editToken(token, nil).Used, 300)
}

// Strangers cost a bounded number of key exchanges, and honest machines come through again soon.
func TestAFloodOfJoins(t *testing.T) {
	g := newGatehouse(t)
	token := g.token(time.Hour, 0)
	flood := g.bus.Client(bus.ClientConfig{ID: "flood"})
	if err := flood.Connect(); err != nil {
		t.Fatal(err)
	}
	attempt := key(t, 7)
	public, _ := cluster.Keys.Public()
	for i := range 200 {
		id, err := join.NewID(g.random)
		if err != nil {
			t.Fatal(err)
		}
		joiner, err := seal.NewJoiner(attempt, key(t, byte(8+i%5)), public, cluster.Name, id)
		if err != nil {
			t.Fatal(err)
		}
		topic := g.topics.Join(id, protocol.JoinAsk)
		body := message.Encode(message.JoinAsk{Key: [32]byte(key(t, byte(8+i%5)).PublicKey().Bytes()), Node: "x", Challenge: 5})
		if err := flood.Publish(topic, joiner.Ask(topic, seal.Run{Number: 1}, 1, body), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	g.until(time.Second)
	answers := 0
	for _, p := range g.sent {
		if !p.Up && p.Client == "flood" || p.Up && p.Client == "master" {
			answers++
		}
	}
	if answers == 0 || answers > 40 {
		t.Errorf("%d of 200 attempts were answered", answers)
	}
	a := g.apply("n1", 1, token)
	g.until(3*time.Minute, a)
	equal(t, "verdict", a.verdict, message.Joined)
}
