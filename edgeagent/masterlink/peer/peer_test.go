package peer

import (
	"crypto/ed25519"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	epoch1 = message.Epoch{Term: 1, Start: 1}
	epoch2 = message.Epoch{Term: 1, Start: 2}
	first  = digest("a")
	second = digest("b")
)

// nextKey is what the node's disk makes when it is asked for another key.
var nextKey = [32]byte{0xab, 0xcd}

const leaderTopic = "skerry/default/m/leader"

var cluster = sealtest.NewCluster("default")

func digest(s string) message.Digest { return message.DigestOf([]byte(s)) }

func run(number uint32) seal.Run { return seal.Run{Number: number, Nonce: uint64(number) * 7} }

func at(e message.Epoch, serial uint64) message.Position {
	return message.Position{Epoch: e, Serial: serial}
}

// script plays a master and a connection to a Peer and writes down what it does.
type script struct {
	peer      *Peer
	now       clock.Now
	sequence  uint64
	challenge uint64
	node      Snapshot
	broken    bool // the disk
	out       strings.Builder
}

func newScript(stored Head, highest message.Epoch) *script {
	s := &script{now: clock.Now{Boot: time.Hour}, challenge: 0x100}
	s.peer = New(Config{
		Stored: stored, Highest: highest, LeaderTopic: leaderTopic, LeaderKey: cluster.Verify(),
		Settings: message.Settings{HeartbeatMillis: 10_000, TimeoutMillis: 30_000},
	})
	s.node = Snapshot{Version: 1, Node: []byte("node"), Pods: []message.PodStatus{{UID: "u1", Status: []byte("pending")}}}
	return s
}

func (s *script) say(text string) *script {
	fmt.Fprintf(&s.out, "# %s\n", text)
	return s
}

func (s *script) chance() Chance {
	s.challenge++
	return Chance{Challenge: s.challenge, Fraction: 0.5}
}

func (s *script) envelope(r seal.Run, m any) seal.Envelope {
	s.sequence++
	return seal.Envelope{Version: seal.Sealed, Sender: r, Sequence: s.sequence, Body: message.Encode(m)}
}

func (s *script) event(format string, args ...any) {
	fmt.Fprintf(&s.out, "%v %s\n", s.now.Boot-time.Hour, fmt.Sprintf(format, args...))
}

// do writes effects down and answers those that want it.
func (s *script) do(effects []Effect) {
	for _, e := range effects {
		fmt.Fprintf(&s.out, "    %s\n", e)
		if s.broken {
			continue
		}
		switch e := e.(type) {
		case Apply:
			s.peer.Stored(Head{Position: e.Document.Position, Digest: e.Document.Digest})
		case KeepPosition:
			s.peer.Stored(Head(e))
		case KeepEpoch:
			s.peer.EpochKept(e.Epoch)
		case MakeKey:
			s.peer.Offer(nextKey)
		case UseKey:
			s.peer.Rekeyed(s.now)
		}
	}
}

func (s *script) step() *script {
	s.do(s.peer.FollowDesired(s.now))
	s.do(s.peer.Step(s.now, s.node, s.chance()))
	return s
}

// wait steps at every moment the machine asks for, for d.
func (s *script) wait(d time.Duration) *script {
	end := s.now.Add(d)
	for next := s.peer.Next(); end.Reached(next); next = s.peer.Next() {
		s.now = s.now.Add(max(time.Millisecond, next.Since(s.now)))
		s.event("it is time")
		s.step()
	}
	s.now = end
	return s
}

func (s *script) connect(number uint64) *script {
	s.event("connection %d", number)
	s.do(s.peer.Connected(s.now, number))
	return s.step()
}

func (s *script) leader(r seal.Run, e message.Epoch) *script {
	s.event("run %d leads, epoch %s", r.Number, e)
	m := message.Leader{Epoch: e}
	m.Signature = cluster.Sign(m.SigningInput(leaderTopic, r.Number, r.Nonce))
	s.do(s.peer.Leader(s.now, s.envelope(r, m), s.chance()))
	return s.step()
}

// welcome answers the last hello.
func (s *script) welcome(r seal.Run, desired message.Position, d message.Digest) *script {
	return s.request(r, message.Request{Welcome: &message.Welcome{
		Echo: s.peer.challenge, Challenge: 0xc, Desired: desired, Digest: d,
	}})
}

func (s *script) request(r seal.Run, m message.Request) *script {
	switch {
	case m.Welcome != nil:
		s.event("welcome of run %d, newest is %s", r.Number, m.Welcome.Desired)
	case m.Resync != nil:
		s.event("run %d asks, hello=%t status=%t", r.Number, m.Resync.Hello, m.Resync.Status)
	case m.Revoked != nil:
		s.event("run %d says that the node was removed", r.Number)
	case m.Rotate != nil:
		s.event("run %d asks for another key", r.Number)
	case m.KeyKept != nil:
		s.event("run %d has stored key %x", r.Number, m.KeyKept.Key[:2])
	default:
		s.event("frame of run %d", r.Number)
	}
	s.do(s.peer.Request(s.now, s.envelope(r, m)))
	return s.step()
}

func (s *script) desired(r seal.Run, p message.Position, d message.Digest) *script {
	s.event("desired %s", p)
	s.do(s.peer.Desired(s.now, s.envelope(r, message.Desired{Position: p, Digest: d})))
	return s.step()
}

// pod changes the status of the node's only pod.
func (s *script) pod(status string) *script {
	s.event("the pod is %s", status)
	s.node.Version++
	s.node.Pods = []message.PodStatus{{UID: "u1", Status: []byte(status)}}
	return s.step()
}

// joined is a machine that has stored desired 1.1/5 and is welcomed by run 1 in epoch 1.1.
func joined() *script {
	s := newScript(Head{at(epoch1, 5), first}, epoch1)
	return s.connect(1).leader(run(1), epoch1).welcome(run(1), at(epoch1, 5), first)
}

// TestScenarios plays conversations and compares what the agent does with the golden files, which are to be
// read as prose; -update writes them.
func TestScenarios(t *testing.T) {
	scenarios := map[string]func() *script{
		"first_start": func() *script {
			s := newScript(Head{}, message.Epoch{})
			s.say("a retained document comes first; nothing is done with it before the leader has answered")
			s.connect(1).desired(run(1), at(epoch1, 5), first)
			s.leader(run(1), epoch1)
			s.say("the answer to another hello is not for this run")
			s.request(run(1), message.Request{Welcome: &message.Welcome{Echo: 0x1, Desired: at(epoch1, 5), Digest: first}})
			s.welcome(run(1), at(epoch1, 5), first)
			return s.say("then it is quiet but for heartbeats").wait(30 * time.Second)
		},
		"master_restarts": func() *script {
			s := joined()
			s.say("another leader on a connection that lasts: the hello waits for a fraction of the interval")
			s.wait(time.Second).leader(run(2), epoch2).wait(6 * time.Second)
			s.say("the same content under another number: only the number is stored")
			s.welcome(run(2), at(epoch2, 1), first)
			s.say("the old leader is heard no more")
			return s.leader(run(1), epoch1).request(run(1), message.Request{Resync: &message.Resync{Status: true}})
		},
		"desired": func() *script {
			s := joined()
			s.say("old and repeated documents are nothing to remark on")
			s.desired(run(1), at(epoch1, 4), second).desired(run(1), at(epoch1, 5), first)
			s.say("a newer one")
			s.desired(run(1), at(epoch1, 7), second)
			s.say("the same content at a later position")
			s.desired(run(1), at(epoch1, 8), second)
			s.say("one of an epoch that nobody has announced waits until its leader has answered")
			s.desired(run(2), at(epoch2, 3), first).leader(run(2), epoch2).wait(6 * time.Second)
			return s.welcome(run(2), at(epoch2, 3), first)
		},
		"desired_missing": func() *script {
			s := newScript(Head{at(epoch1, 5), first}, epoch1)
			s.say("what the welcome names does not come: the node goes on and asks")
			s.connect(1).leader(run(2), epoch2).welcome(run(2), at(epoch2, 2), second).wait(12 * time.Second)
			s.say("an older one than was named is not taken")
			s.desired(run(2), at(epoch2, 1), digest("c"))
			return s.desired(run(2), at(epoch2, 2), second).wait(12 * time.Second)
		},
		"disk_full": func() *script {
			s := joined()
			s.broken = true
			s.say("a document that can't be stored is not acted upon; it is tried again")
			s.desired(run(1), at(epoch1, 6), second).wait(9 * time.Second)
			s.broken = false
			return s.wait(time.Second)
		},
		"statuses": func() *script {
			s := joined()
			s.wait(time.Second).pod("running")
			s.say("changes in a burst go out together")
			s.pod("failed").pod("running again").wait(time.Second)
			s.say("a change and back is no change")
			s.pod("failed").pod("unknown").pod("failed").wait(time.Second)
			s.say("the master lacks something")
			s.request(run(1), message.Request{Resync: &message.Resync{Status: true}})
			s.say("events travel with a status of their own, once")
			s.wait(time.Second)
			s.node.Events = []message.Event{{UID: "u1", Reason: "Pulling"}}
			s.step()
			s.node.Events = nil
			return s.wait(time.Second)
		},
		"permits": func() *script {
			s := joined()
			s.wait(3 * time.Second)
			s.say("a pod begins to wait for a permit: a heartbeat asks at once")
			s.node.Asks, s.node.Waits = true, 1
			s.step()
			asked := uint64(s.now.Boot.Milliseconds())
			s.request(run(1), message.Request{Grant: &message.Grant{Ask: asked, Millis: 40_000, Pods: []string{"u1"}}})
			s.say("one that answers no heartbeat of this run is refused, whatever it says of its time")
			s.request(run(1), message.Request{Grant: &message.Grant{Ask: asked + 1, Millis: 40_000, Pods: []string{"u1"}}})
			s.request(run(1), message.Request{Grant: &message.Grant{Ask: asked - 1, Millis: 40_000, Pods: []string{"u1"}}})
			s.request(run(1), message.Request{Grant: &message.Grant{Millis: 40_000, Pods: []string{"u1"}}})
			s.request(run(2), message.Request{Grant: &message.Grant{Ask: asked, Millis: 40_000, Pods: []string{"u1"}}})
			s.say("another one right afterwards waits for a second; then all heartbeats ask")
			s.node.Waits = 2
			s.step().wait(11 * time.Second)
			s.say("the master asks what has become of a pod")
			s.request(run(1), message.Request{Release: &message.Release{Pods: []string{"u1"}}})
			s.node.Released = []string{"u1"}
			s.step()
			s.node.Released = nil
			s.say("without such pods nothing is asked")
			s.node.Asks = false
			return s.wait(10 * time.Second)
		},
		"connection_lost": func() *script {
			s := joined()
			s.peer.Disconnected()
			s.say("without a connection nothing is due")
			s.wait(time.Minute).pod("running")
			s.say("with a new one the node is heard at once; hello follows the leader's announcement")
			s.connect(2).leader(run(1), epoch1).welcome(run(1), at(epoch1, 5), first)
			s.say("the broker has forgotten who leads: hello goes out all the same")
			s.peer.Disconnected()
			s.connect(3).wait(2*time.Second).welcome(run(1), at(epoch1, 5), first)
			s.say("it has been answered when the announcement comes at last: nothing is to be said")
			return s.leader(run(1), epoch1)
		},
		"nobody_answers": func() *script {
			s := newScript(Head{at(epoch1, 5), first}, epoch1)
			s.say("the same hello is repeated; the silence is reported once; nothing else is done")
			return s.connect(1).leader(run(1), epoch1).wait(40 * time.Second)
		},
		"strangers": func() *script {
			s := joined()
			s.say("requests of a run that does not lead are refused, but a hello harms nobody")
			s.wait(2*time.Second).request(run(9), message.Request{Resync: &message.Resync{Status: true}})
			s.request(run(9), message.Request{Frame: []byte("x")})
			s.request(run(9), message.Request{Resync: &message.Resync{Hello: true}})
			s.say("its welcome is worth nothing")
			s.welcome(run(9), at(epoch2, 9), second)
			s.say("a frame of the leader, and the same once more")
			s.request(run(1), message.Request{Frame: []byte("x")})
			s.sequence--
			return s.request(run(1), message.Request{Frame: []byte("x")})
		},
		"removed": func() *script {
			s := joined()
			s.say("who does not lead can't remove the node")
			s.wait(time.Second).request(run(9), message.Request{Revoked: &message.Revoked{Time: 77}})
			s.say("the leader can; a welcome that it overtook is worth nothing")
			echo := s.peer.challenge
			s.request(run(1), message.Request{Revoked: &message.Revoked{Time: 77}})
			s.request(run(1), message.Request{Welcome: &message.Welcome{Echo: echo, Desired: at(epoch1, 6), Digest: second}})
			s.desired(run(1), at(epoch1, 6), second).request(run(1), message.Request{Frame: []byte("x")})
			s.say("neither pods nor connections nor leaders make it talk")
			s.wait(time.Minute).pod("failed")
			for n := uint64(2); n < 5; n++ {
				s.peer.Disconnected()
				s.connect(n).leader(run(1), epoch1).wait(time.Minute)
			}
			s.leader(run(2), epoch2).wait(time.Minute)
			return s.say("after eleven minutes it asks").wait(12 * time.Minute)
		},
		"removed_before": func() *script {
			s := newScript(Head{at(epoch1, 5), first}, epoch1)
			s.peer.revoked = 77
			s.say("an earlier run was told that the node was removed: it says hello once, and is told again")
			s.connect(1).leader(run(1), epoch1).request(run(1), message.Request{Revoked: &message.Revoked{Time: 77}})
			return s.wait(10 * time.Minute)
		},
		"key_changes": func() *script {
			s := joined()
			s.peer.beatAt = clock.Never // heartbeats are not worth reading here
			s.say("the next key is offered until the master has stored it")
			s.wait(time.Second).request(run(1), message.Request{Rotate: &message.Rotate{}}).wait(25 * time.Second)
			s.say("that it has stored another one says nothing")
			s.request(run(1), message.Request{KeyKept: &message.NewKey{Key: [32]byte{1}}})
			s.say("with the new key the conversation begins anew, on a connection of its own")
			s.request(run(1), message.Request{KeyKept: &message.NewKey{Key: nextKey}})
			s.peer.Disconnected()
			s.connect(2).leader(run(1), epoch1).welcome(run(1), at(epoch1, 5), first)
			s.say("it is told once more, late")
			return s.request(run(1), message.Request{KeyKept: &message.NewKey{Key: nextKey}})
		},
		"leader_silent": func() *script {
			s := joined()
			s.peer.beatAt = clock.Never // the heartbeats of eleven minutes are not worth reading
			return s.say("after two missed announcements the agent asks").wait(11 * time.Minute)
		},
	}
	for name, play := range scenarios {
		t.Run(name, func(t *testing.T) { golden(t, name, play().out.String()) })
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the conversation differs (-want +got):\n%s", diff)
	}
}

// TestLeaderSignature: with a cluster key only what it signed, for this topic and this run, makes a leader.
func TestLeaderSignature(t *testing.T) {
	public, private, err := ed25519.GenerateKey(strings.NewReader(strings.Repeat("seed", 16)))
	if err != nil {
		t.Fatal(err)
	}
	const topic = "skerry/default/m/leader"
	sign := func(m message.Leader, r seal.Run) message.Leader {
		m.Signature = ed25519.Sign(private, m.SigningInput(topic, r.Number, r.Nonce))
		return m
	}
	good := sign(message.Leader{Epoch: epoch1, Time: 5, Master: "m"}, run(1))
	later := good
	later.Epoch = epoch2
	for name, test := range map[string]struct {
		message message.Leader
		sender  seal.Run
		led     bool
	}{
		"signed":             {good, run(1), true},
		"another run":        {good, run(2), false},
		"another epoch":      {later, run(1), false},
		"not signed":         {message.Leader{Epoch: epoch1}, run(1), false},
		"of another cluster": {sign2(private, "skerry/other/m/leader", good, run(1)), run(1), false},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(Config{LeaderTopic: topic, LeaderKey: public})
			e := seal.Envelope{Sender: test.sender, Sequence: 1, Body: message.Encode(test.message)}
			effects := p.Leader(clock.Now{}, e, Chance{Challenge: 1})
			_, led := effects[0].(Led)
			if led != test.led {
				t.Errorf("led = %t, want %t (%v)", led, test.led, effects)
			}
		})
	}
}

func sign2(key ed25519.PrivateKey, topic string, m message.Leader, r seal.Run) message.Leader {
	m.Signature = ed25519.Sign(key, m.SigningInput(topic, r.Number, r.Nonce))
	return m
}

// FuzzReceive checks that no message makes the machine panic, nor apply a document before the leader answered.
func FuzzReceive(f *testing.F) {
	f.Add(uint8(0), message.Encode(message.Leader{Epoch: epoch2}))
	f.Add(uint8(1), message.Encode(message.Request{Resync: &message.Resync{Hello: true}}))
	f.Add(uint8(1), message.Encode(message.Request{Welcome: &message.Welcome{Echo: 7}}))
	f.Add(uint8(2), message.Encode(message.Desired{Position: at(epoch2, 1)}))
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		s := newScript(Head{}, epoch1).connect(1).leader(run(1), epoch1)
		e := seal.Envelope{Sender: run(1), Sequence: 1 << 40, Body: body}
		switch kind % 3 {
		case 0:
			s.peer.Leader(s.now, e, s.chance())
		case 1:
			s.peer.Request(s.now, e)
		case 2:
			s.peer.Desired(s.now, e)
		}
		if s.peer.Welcomed() && s.peer.challenge == 0 && kind%3 != 1 {
			t.Fatal("welcomed without a welcome")
		}
		for _, effect := range s.peer.FollowDesired(s.now) {
			if apply, ok := effect.(Apply); ok && kind%3 == 2 {
				t.Fatalf("applied %s without a welcome", apply.Document.Position)
			}
		}
	})
}
