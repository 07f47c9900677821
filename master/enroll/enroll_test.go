package enroll

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"encoding/json"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

var home = sealtest.NewCluster("home")

// door is an Enroller with a token for any number of nodes, and a line to the broker in front of it.
type door struct {
	t        testing.TB
	topics   protocol.Topics
	store    *store.Memory
	bus      *bus.Memory
	enroller *Enroller
	client   *bus.Client
	answers  *bus.Inbox
	log      bytes.Buffer
	now      clock.Now
	run      seal.Run
	token    string
	secret   []byte
}

func newDoor(t testing.TB) *door {
	t.Helper()
	topics, err := protocol.NewTopics(home.Name)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{
		t: t, topics: topics, now: clock.Now{Wall: time.Unix(1_800_000_000, 0), Boot: time.Hour}, run: seal.Run{Number: 3, Nonce: 4},
		store:  store.NewMemory(store.Config{Schema: resource.Schema()}),
		bus:    bus.NewMemory(bus.MemoryConfig{Queue: 1 << 12}),
		secret: []byte("0123456789abcdef"),
	}
	id, record := resource.NewJoinToken(d.secret, d.now.Wall, 0, 0, "")
	d.token = id
	_, err = d.store.Commit(context.Background(), []change.Change{{
		Key: change.Key{Kind: resource.JoinTokenKind, Name: id}, Value: resource.EncodeJoinToken(record),
	}})
	if err != nil {
		t.Fatal(err)
	}
	master := d.bus.Client(bus.ClientConfig{ID: "master"})
	d.enroller = New(Config{
		Store: d.store, Bus: master, Topics: topics, Cluster: home.Name, Key: home.Keys.Exchange, Run: d.run,
		Rand: rand.New(rand.NewSource(1)), Logger: zerolog.New(&d.log),
	})
	d.client, d.answers = d.bus.Client(bus.ClientConfig{ID: "client"}), bus.NewInbox(1<<12, func() {})
	for _, err := range []error{master.Connect(), d.client.Subscribe(topics.AllJoins(protocol.JoinAnswer), 1, d.answers), d.client.Connect()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d.step()
	return d
}

func (d *door) step() (next clock.Now) {
	d.t.Helper()
	next, err := d.enroller.Step(d.now)
	if err != nil {
		d.t.Fatal(err)
	}
	return next
}

func (d *door) send(id string, payload []byte) {
	d.t.Helper()
	if err := d.client.Publish(d.topics.Join(id, protocol.JoinAsk), payload, 1, false); err != nil {
		d.t.Fatal(err)
	}
	d.step()
}

func (d *door) joiner(id string, number byte) *seal.Joiner {
	d.t.Helper()
	public, _ := home.Keys.Public()
	j, err := seal.NewJoiner(d.key(100+number), d.key(number), public, home.Name, id)
	if err != nil {
		d.t.Fatal(err)
	}
	return j
}

func (d *door) key(number byte) *ecdh.PrivateKey {
	d.t.Helper()
	k, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{number}, 32))
	if err != nil {
		d.t.Fatal(err)
	}
	return k
}

// stranger is the run of whoever asks.
var stranger = seal.Run{Number: 1, Nonce: 2}

func (d *door) ask(j *seal.Joiner, id string, sequence uint64, ask message.JoinAsk) []byte {
	return j.Ask(d.topics.Join(id, protocol.JoinAsk), stranger, sequence, message.Encode(ask))
}

func (d *door) proof(j *seal.Joiner, id string, sequence uint64, proof message.JoinProof) []byte {
	return j.Box().Seal(d.topics.Join(id, protocol.JoinAsk), stranger, d.run, sequence, message.Encode(proof))
}

// answer is the newest that has come for an attempt; ok is false when none has.
func (d *door) answer(j *seal.Joiner, id string) (a message.JoinAnswer, ok bool) {
	d.t.Helper()
	for _, m := range d.answers.Drain() {
		if m.Topic != d.topics.Join(id, protocol.JoinAnswer) {
			continue
		}
		envelope, err := j.Box().Open(m.Topic, stranger, m.Payload)
		if err != nil {
			d.t.Fatal(err)
		}
		if a, err = message.Decode[message.JoinAnswer](envelope.Body); err != nil {
			d.t.Fatal(err)
		}
		ok = true
	}
	return a, ok
}

func (d *door) joined() int { return d.store.View().Count(resource.NodeKeyKind) }

// A proof counts when it is of this attempt, answers this challenge, is news, and comes within the minute. Nothing else
// gets a word, and none of it is a reason to stop: the attempt goes on.
func TestProofs(t *testing.T) {
	good := func(d *door, j *seal.Joiner, a message.JoinAnswer) []byte {
		return d.proof(j, "a", 2, message.JoinProof{Echo: a.Challenge, Token: d.token, Secret: d.secret})
	}
	for name, c := range map[string]struct {
		make   func(d *door, j *seal.Joiner, a message.JoinAnswer) []byte
		joined bool
	}{
		"right": {good, true},
		"another challenge": {func(d *door, j *seal.Joiner, a message.JoinAnswer) []byte {
			return d.proof(j, "a", 2, message.JoinProof{Echo: a.Challenge ^ 2, Token: d.token, Secret: d.secret})
		}, false},
		"no challenge": {func(d *door, j *seal.Joiner, _ message.JoinAnswer) []byte {
			return d.proof(j, "a", 2, message.JoinProof{Token: d.token, Secret: d.secret})
		}, false},
		"a secret that is too long": {func(d *door, j *seal.Joiner, a message.JoinAnswer) []byte {
			return d.proof(j, "a", 2, message.JoinProof{Echo: a.Challenge, Token: d.token, Secret: append(d.secret, 0)})
		}, false},
		"an id that is too long": {func(d *door, j *seal.Joiner, a message.JoinAnswer) []byte {
			return d.proof(j, "a", 2, message.JoinProof{Echo: a.Challenge, Token: strings.Repeat("a", 65), Secret: d.secret})
		}, false},
		"number zero": {func(d *door, j *seal.Joiner, a message.JoinAnswer) []byte {
			return d.proof(j, "a", 0, message.JoinProof{Echo: a.Challenge, Token: d.token, Secret: d.secret})
		}, false},
		"for another topic": {func(d *door, j *seal.Joiner, a message.JoinAnswer) []byte {
			return d.proof(j, "b", 2, message.JoinProof{Echo: a.Challenge, Token: d.token, Secret: d.secret})
		}, false},
		"with another node's key": {func(d *door, _ *seal.Joiner, a message.JoinAnswer) []byte {
			return d.proof(d.joiner("a", 9), "a", 2, message.JoinProof{Echo: a.Challenge, Token: d.token, Secret: d.secret})
		}, false},
		"for another run of the master": {func(d *door, j *seal.Joiner, a message.JoinAnswer) []byte {
			d.run.Number++
			return good(d, j, a)
		}, false},
		"too late": {func(d *door, j *seal.Joiner, a message.JoinAnswer) []byte {
			d.now = d.now.Add(patience)
			return good(d, j, a)
		}, false},
		"just in time": {func(d *door, j *seal.Joiner, a message.JoinAnswer) []byte {
			d.now = d.now.Add(patience - time.Millisecond)
			return good(d, j, a)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t)
			j := d.joiner("a", 1)
			ask := message.JoinAsk{Key: [32]byte(d.key(1).PublicKey().Bytes()), Node: "n1", Challenge: 5}
			d.send("a", d.ask(j, "a", 1, ask))
			first, ok := d.answer(j, "a")
			if !ok || first.Echo != 5 || first.Challenge == 0 || first.Verdict != "" {
				t.Fatalf("the ask is answered with %+v, %v", first, ok)
			}
			d.send("a", c.make(d, j, first))
			verdict, ok := d.answer(j, "a")
			if ok != c.joined || ok && (verdict.Verdict != message.Joined || verdict.Echo != 5) || (d.joined() == 1) != c.joined {
				t.Errorf("the proof is answered with %+v, %v; %d have joined", verdict, ok, d.joined())
			}
		})
	}
}

// An ask that comes again gets the same challenge; another machine under the same id gets none.
func TestAsks(t *testing.T) {
	d := newDoor(t)
	j, other := d.joiner("a", 1), d.joiner("a", 2)
	ask := message.JoinAsk{Key: [32]byte(d.key(1).PublicKey().Bytes()), Node: "n1", Challenge: 5}
	d.send("a", d.ask(j, "a", 1, ask))
	first, _ := d.answer(j, "a")
	d.send("a", d.ask(j, "a", 2, ask))
	if again, ok := d.answer(j, "a"); !ok || again != first {
		t.Errorf("again: %+v, %v, want %+v", again, ok, first)
	}
	d.send("a", d.ask(other, "a", 1, message.JoinAsk{Key: [32]byte(d.key(2).PublicKey().Bytes()), Node: "n2", Challenge: 6}))
	if got := d.answers.Drain(); len(got) > 0 {
		t.Errorf("another machine under the same id is answered")
	}
	d.send("b", d.ask(d.joiner("b", 1), "a", 1, ask)) // recorded, and sent under another id
	if got := d.answers.Drain(); len(got) > 0 {
		t.Errorf("an ask under another id is answered")
	}
	ask.Version = strings.Repeat("v", maxAsk)
	d.send("c", d.ask(d.joiner("c", 1), "c", 1, ask))
	if got := d.answers.Drain(); len(got) > 0 {
		t.Errorf("an ask that is too large is answered")
	}
}

// What is refused is in the log at once, and then in sums, a line a minute, however much comes; secrets are not.
func TestRefusalsInTheLog(t *testing.T) {
	d := newDoor(t)
	lines := func() (out []map[string]any) {
		for line := range strings.Lines(d.log.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			out = append(out, m)
		}
		return out
	}
	for range 50 {
		d.send("a", []byte("garbage"))
	}
	if got := lines(); len(got) != 1 || got[0]["malformed"] != 1.0 {
		t.Errorf("50 refusals: %v", got)
	}
	next := d.step()
	if got := next.Since(d.now); got != complaint {
		t.Errorf("the next line is due in %s", got)
	}
	d.now = next
	d.step()
	if got := lines(); len(got) != 2 || got[1]["malformed"] != 49.0 {
		t.Errorf("a minute later: %v", got)
	}
	if !d.step().IsNever() {
		t.Error("it goes on without anything to say")
	}
	j := d.joiner("b", 1)
	d.send("b", d.ask(j, "b", 1, message.JoinAsk{Key: [32]byte(d.key(1).PublicKey().Bytes()), Node: "n1\nforged", Challenge: 5}))
	a, _ := d.answer(j, "b")
	d.send("b", d.proof(j, "b", 2, message.JoinProof{Echo: a.Challenge, Token: d.token, Secret: d.secret}))
	if got := lines(); got[len(got)-1]["node"] != "(not a name)" || strings.Contains(d.log.String(), string(d.secret)) {
		t.Errorf("the log: %s", d.log.String())
	}
}

// Whatever a stranger sends, and in whatever order, the loop goes on, remembers a bounded number of attempts, and lets
// nobody in.
func FuzzStep(f *testing.F) {
	seed := newDoor(f)
	j := seed.joiner("a", 1)
	ask := seed.ask(j, "a", 1, message.JoinAsk{Key: [32]byte(seed.key(1).PublicKey().Bytes()), Node: "n1", Challenge: 5})
	f.Add("a", ask, ask)
	f.Add("a", ask, seed.proof(j, "a", 2, message.JoinProof{Echo: 1, Token: seed.token, Secret: seed.secret}))
	f.Add("a", []byte{byte(seal.Joining)}, []byte{byte(seal.Sealed)})
	f.Add("", []byte(nil), ask[:len(ask)-1])
	f.Fuzz(func(t *testing.T, id string, first, second []byte) {
		d := newDoor(t)
		for range 3 {
			for _, payload := range [][]byte{first, second} {
				d.enroller.inbox.Put(bus.Message{Topic: d.topics.Join(id, protocol.JoinAsk), Payload: payload})
			}
			d.step()
			d.now = d.now.Add(time.Second)
		}
		if d.joined() > 0 || len(d.enroller.attempts) > maxAttempts || len(d.enroller.waiting) != len(d.enroller.waits) {
			t.Errorf("%d have joined, %d attempts, %d wait", d.joined(), len(d.enroller.attempts), len(d.enroller.waiting))
		}
	})
}
