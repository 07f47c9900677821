package peer

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

var update = flag.Bool("update", false, "write the golden files")

// script plays messages of a node to a Peer and writes down what it does.
type script struct {
	peer      Peer
	now       clock.Now
	sequence  uint64
	challenge uint64
	next      bool // the node seals with its next key
	facts     Facts
	out       strings.Builder
}

var (
	epoch  = message.Epoch{Term: 1, Start: 2}
	first  = digest("a")
	second = digest("b")
)

func digest(s string) message.Digest { return message.DigestOf([]byte(s)) }

func run(number uint32) seal.Run { return seal.Run{Number: number, Nonce: uint64(number) * 7} }

func newScript() *script {
	return &script{
		challenge: 0x100,
		now:       clock.Now{Boot: time.Hour},
		facts: Facts{
			Epoch:    epoch,
			Settings: message.Settings{HeartbeatMillis: 10_000, TimeoutMillis: 30_000},
			Desired:  message.Position{Epoch: epoch, Serial: 3},
			Digest:   digest("content"),
		},
	}
}

func (s *script) wait(d time.Duration) *script {
	s.now = s.now.Add(d)
	return s
}

func (s *script) say(text string) *script {
	fmt.Fprintf(&s.out, "# %s\n", text)
	return s
}

// from sends a message with the next sequence number.
func (s *script) from(r seal.Run, channel string, m any) *script {
	s.sequence++
	return s.at(r, s.sequence, channel, m)
}

// at sends a message with a sequence number of one's choice.
func (s *script) at(r seal.Run, sequence uint64, channel string, m any) *script {
	s.challenge++
	fmt.Fprintf(&s.out, "%v %s of run %d, sequence %d\n", s.now.Boot-time.Hour, channel, r.Number, sequence)
	in := Input{
		Channel:   channel,
		Envelope:  seal.Envelope{Version: seal.Plain, Sender: r, Sequence: sequence, Body: message.Encode(m)},
		Challenge: s.challenge,
		Next:      s.next,
	}
	for _, e := range s.peer.Receive(s.now, in, s.facts) {
		fmt.Fprintf(&s.out, "    %s\n", e)
		if _, ok := e.(Publish); ok {
			s.facts.Sent, s.facts.Published = true, s.now
		}
	}
	return s
}

// unopened is a message that was not opened.
func (s *script) unopened(r seal.Run, reason string) *script {
	fmt.Fprintf(&s.out, "%v something that claims to be of run %d and is not opened\n", s.now.Boot-time.Hour, r.Number)
	for _, e := range s.peer.Unopened(s.now, r, reason, s.facts) {
		fmt.Fprintf(&s.out, "    %s\n", e)
	}
	return s
}

func (s *script) hello(r seal.Run, challenge uint64) *script {
	return s.from(r, protocol.Hello, message.Hello{Challenge: challenge, Digest: s.facts.Digest, Highest: epoch})
}

// complete sends a complete status that echoes the challenge given last, less back.
func (s *script) complete(r seal.Run, back uint64, d message.Digest) *script {
	return s.from(r, protocol.Status, message.Status{
		Complete: true, Echo: s.challenge - back, Digest: d, Pods: []message.PodStatus{{UID: "u1"}},
	})
}

func (s *script) beat(r seal.Run, d message.Digest) *script {
	return s.from(r, protocol.Beat, message.Heartbeat{Applied: s.facts.Desired, Status: d, Readings: message.Readings{CPUMilli: 40}})
}

// join makes a run the current one.
func (s *script) join(r seal.Run) *script { return s.hello(r, 0xa).complete(r, 0, first) }

// TestScenarios plays conversations and compares what the master does with the golden files, which are to be
// read as prose; -update writes them.
func TestScenarios(t *testing.T) {
	scenarios := map[string]func(*script){
		"challenge_forgotten": func(s *script) {
			s.say("a run has its challenge; recorded hellos of others drive that out, and its own, again, has another one")
			s.hello(run(5), 0xa)
			given := s.challenge
			for n := uint32(1); n < 5; n++ {
				s.hello(run(n), uint64(n))
			}
			s.hello(run(5), 0xa)
			s.say("what it was given first is worth nothing; when it echoes nothing else it has to say hello")
			for range 3 {
				s.beat(run(5), first).complete(run(5), s.challenge-given, first).wait(10 * time.Second)
			}
			s.hello(run(5), 0xb).complete(run(5), 0, first)
		},
		"join": func(s *script) {
			s.say("a run that is not known is asked to say hello, and nothing else happens")
			s.beat(run(1), first)
			s.say("its hello is answered; the epoch is news to it, and it has stored another document")
			s.from(run(1), protocol.Hello, message.Hello{Challenge: 0xa})
			s.say("until the challenge is echoed the run is not current")
			s.wait(6*time.Second).beat(run(1), first)
			s.say("a wrong echo proves nothing")
			s.complete(run(1), 7, first)
			s.say("the right one does")
			s.from(run(1), protocol.Status, message.Status{Complete: true, Echo: 0x102, Digest: first})
			s.wait(10*time.Second).beat(run(1), first)
		},
		"status_lost": func(s *script) {
			s.join(run(1))
			s.say("an incremental status that builds on the last one")
			s.from(run(1), protocol.Status, message.Status{Base: first, Digest: second, Pods: []message.PodStatus{{UID: "u1"}}})
			s.wait(10*time.Second).beat(run(1), second)
			s.say("one is lost: the heartbeat shows it, a question goes out, and only one within half an interval")
			s.wait(10*time.Second).beat(run(1), digest("c")).wait(time.Second).beat(run(1), digest("c"))
			s.say("one that builds on what never arrived counts, and fetches the rest")
			s.wait(10*time.Second).from(run(1), protocol.Status, message.Status{Base: digest("c"), Digest: digest("d")})
			s.complete(run(1), 99, digest("d"))
			s.wait(10*time.Second).beat(run(1), digest("d"))
			s.say("after Forget everything is asked for once more")
			s.peer.Forget()
			s.wait(10*time.Second).beat(run(1), digest("d"))
		},
		"desired_lost": func(s *script) {
			s.join(run(1))
			s.say("the document was sent a moment ago and may be on its way")
			s.facts.Desired.Serial, s.facts.Sent, s.facts.Published = 4, true, s.now
			old := s.facts.Desired
			old.Serial = 3
			s.wait(time.Second).from(run(1), protocol.Beat, message.Heartbeat{Applied: old, Status: first})
			s.say("an interval later it is not")
			s.wait(10*time.Second).from(run(1), protocol.Beat, message.Heartbeat{Applied: old, Status: first})
			s.say("the node asks for it itself, twice: one answer")
			s.wait(10*time.Second).from(run(1), protocol.Response, message.Response{WantDesired: &message.WantDesired{Have: old}})
			s.from(run(1), protocol.Response, message.Response{WantDesired: &message.WantDesired{Have: old}})
			s.say("a node that has seen a later epoch will not take it")
			s.wait(10*time.Second).from(run(1), protocol.Beat, message.Heartbeat{
				Applied: message.Position{Epoch: message.Epoch{Term: 9}, Serial: 1}, Status: first,
			})
		},
		"epoch_of_another_master": func(s *script) {
			hello := func(serial uint64, content string) {
				s.wait(time.Minute).from(run(1), protocol.Hello, message.Hello{Challenge: 0xa, Digest: digest(content), Highest: epoch,
					Stored: message.Position{Epoch: epoch, Serial: serial}})
			}
			s.say("the node has what the master has")
			hello(3, "content")
			s.say("it has an older document of this epoch, and none with a number")
			hello(2, "older")
			hello(0, "none")
			s.say("it has one of the same number that this master has not written, as after a restored backup")
			hello(3, "another")
			s.say("it has one of a higher number")
			hello(4, "another")
		},
		"replay": func(s *script) {
			s.say("sequences 1 and 2 are the hello and the status that proves run 1")
			s.join(run(1)).beat(run(1), first)
			s.say("the same heartbeat again, and one from before the proof")
			s.at(run(1), 3, protocol.Beat, message.Heartbeat{Status: first}).at(run(1), 1, protocol.Beat, message.Heartbeat{Status: first})
			s.say("the agent restarts: run 2 proves itself")
			s.hello(run(2), 0xb).complete(run(2), 0, second)
			s.say("everything that run 1 ever sent is worth nothing, the proof with its spent challenge too")
			s.at(run(1), 1, protocol.Hello, message.Hello{Challenge: 0xa, Digest: s.facts.Digest, Highest: epoch})
			s.at(run(1), 2, protocol.Status, message.Status{Complete: true, Echo: 0x101, Digest: first})
			s.at(run(1), 9, protocol.Beat, message.Heartbeat{Status: first})
			s.at(run(1), 10, protocol.Response, message.Response{Frame: []byte("x")})
			s.beat(run(2), second)
		},
		"reconnect": func(s *script) {
			s.join(run(1))
			s.from(run(1), protocol.Presence, message.Presence{Online: true, Connection: 2})
			s.say("the will of connection 1 is late, that of connection 2 counts")
			s.from(run(1), protocol.Presence, message.Presence{Connection: 1})
			s.from(run(1), protocol.Presence, message.Presence{Connection: 2})
			s.say("the same run says hello on its third connection; its reports went on counting meanwhile")
			s.from(run(1), protocol.Presence, message.Presence{Online: true, Connection: 3})
			s.hello(run(1), 0xc).beat(run(1), first).complete(run(1), 1, first)
			s.say("a will of another run says nothing")
			s.from(run(7), protocol.Presence, message.Presence{Connection: 9})
		},
		"duplicate_identity": func(s *script) {
			s.join(run(1)).hello(run(2), 0xb).complete(run(2), 0, first)
			s.say("while run 2 is alive run 1 is refused without a question")
			s.wait(10*time.Second).beat(run(1), first)
			s.say("run 1 says hello by itself and proves itself again")
			s.hello(run(1), 0xd).complete(run(1), 0, first)
		},
		"hello_flood": func(s *script) {
			s.say("recorded hellos of many runs are answered, and only the newest challenges are kept")
			for n := uint32(1); n <= 6; n++ {
				s.hello(run(n), uint64(n))
			}
			s.say("the same hello again gets the same challenge")
			s.hello(run(6), 6)
			s.say("run 1's challenge is gone, run 6's is not")
			s.from(run(1), protocol.Status, message.Status{Complete: true, Echo: 0x101})
			s.from(run(6), protocol.Status, message.Status{Complete: true, Echo: 0x106})
		},
		"revoked": func(s *script) {
			s.join(run(1))
			s.say("the node is removed: nothing that it says counts; it is told, at most twice an interval, and whenever it says hello")
			s.facts.Revoked = 77
			s.beat(run(1), first).complete(run(1), 0, second)
			s.from(run(1), protocol.Response, message.Response{Frame: []byte("x")})
			s.hello(run(1), 0xb).hello(run(2), 0xc)
			s.say("it need not open for that")
			s.wait(10*time.Second).unopened(run(3), KeyRevoked).unopened(run(3), KeyRevoked)
		},
		"key_changes": func(s *script) {
			s.join(run(1))
			s.say("another key is wanted: the node is asked, at most twice an interval")
			s.facts.Rotate = true
			s.wait(10*time.Second).beat(run(1), first).wait(time.Second).beat(run(1), first)
			s.say("it offers one; offered again, it is kept again, for the answer may be lost")
			offer := message.Response{NextKey: &message.NewKey{Key: [32]byte{0xab, 0xcd}}}
			s.from(run(1), protocol.Response, offer).from(run(1), protocol.Response, offer)
			s.say("the node goes over to it, and is welcomed, but its proof is lost: the next heartbeat shows that")
			s.next = true
			s.wait(time.Second).hello(run(1), 0xb)
			s.wait(10*time.Second).beat(run(1), first)
			s.say("a key that is offered with the next one would lock the node out")
			s.from(run(1), protocol.Response, offer)
			s.say("the complete status comes, without the challenge: it is a proof all the same, for no other key opens it")
			s.from(run(1), protocol.Status, message.Status{Complete: true, Digest: first})
			s.say("the key is in force; what was sealed with the one before is not opened any more")
			s.next, s.facts.Rotate = false, false
			s.wait(10*time.Second).beat(run(1), first).unopened(run(1), Unreadable)
		},
		"key_changes_with_a_new_run": func(s *script) {
			s.join(run(1))
			s.say("the agent has stored that it uses its next key, and crashed: another run proves itself with it")
			s.next = true
			s.hello(run(2), 0xb).complete(run(2), 0, second)
			s.say("the old run is worth nothing")
			s.next = false
			s.beat(run(1), first)
		},
		"unopened": func(s *script) {
			s.say("after a restart of the master, what agents say is sealed for the run before: each is asked, the node not more than twice an interval")
			s.unopened(run(1), UnknownRun).unopened(run(2), UnknownRun).wait(6*time.Second).unopened(run(3), UnknownRun)
			s.join(run(1))
			s.say("while the current run is alive nobody is asked, and what can't be opened in its name is a forgery")
			s.unopened(run(9), Unreadable).unopened(run(1), Unreadable)
			s.say("nor is the current one when it is silent, for that is no way to say that it is there")
			s.wait(time.Minute).unopened(run(1), Unreadable)
		},
		"proof_overtaken": func(s *script) {
			s.hello(run(1), 0xa)
			s.say("a heartbeat overtakes the status that proves the run: it is refused, now and when it comes again")
			s.at(run(1), 3, protocol.Beat, message.Heartbeat{Status: first})
			s.at(run(1), 2, protocol.Status, message.Status{Complete: true, Echo: 0x101, Digest: first})
			s.at(run(1), 3, protocol.Beat, message.Heartbeat{Status: first})
			s.at(run(1), 4, protocol.Beat, message.Heartbeat{Status: first, Applied: s.facts.Desired})
		},
		"proof_forgotten": func(s *script) {
			s.say("run 1 is welcomed, and its challenge is forgotten before the proof arrives; its hello comes once more and gets another one")
			s.from(run(1), protocol.Hello, message.Hello{Challenge: 0xa, Digest: s.facts.Digest, Highest: epoch})
			s.peer = Peer{}
			s.from(run(1), protocol.Hello, message.Hello{Challenge: 0xa, Digest: s.facts.Digest, Highest: epoch})
			s.say("the node has been answered and takes no second welcome: asked for its status it would echo the old challenge for ever")
			s.from(run(1), protocol.Status, message.Status{Complete: true, Echo: 0x101, Digest: first})
			s.say("so it says hello anew, and proves itself")
			s.hello(run(1), 0xb).complete(run(1), 0, first)
		},
		"hello_repeated": func(s *script) {
			s.say("a node that knows the epoch and has no announcement takes no welcome; that it repeats its hello shows it")
			s.hello(run(1), 0xa).wait(5*time.Second).hello(run(1), 0xa)
		},
		"hello_replayed": func(s *script) {
			s.join(run(1)).say("the very hello once more, and one that was overtaken")
			s.at(run(1), 1, protocol.Hello, message.Hello{Challenge: 0xa})
			s.wait(time.Minute).from(run(1), protocol.Hello, message.Hello{Challenge: 0xb, Digest: s.facts.Digest, Highest: epoch})
			s.at(run(1), s.sequence, protocol.Hello, message.Hello{Challenge: 0xb})
		},
		"streams": func(s *script) {
			s.join(run(1))
			s.from(run(1), protocol.Response, message.Response{Frame: []byte("abc")})
			s.say("what does not decode, or comes where it must not, is refused")
			s.from(run(1), protocol.Response, "text").from(run(1), protocol.Desired, message.Desired{})
		},
	}
	for name, play := range scenarios {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			play(s)
			golden(t, name, s.out.String())
		})
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

// FuzzReceive checks that no message, from whatever run, makes the machine panic or a run current that was
// never given a challenge.
func FuzzReceive(f *testing.F) {
	channels := []string{protocol.Hello, protocol.Beat, protocol.Status, protocol.Presence, protocol.Response}
	for i, m := range []any{
		message.Hello{Challenge: 1}, message.Heartbeat{Status: first}, message.Status{Complete: true, Echo: 5},
		message.Presence{Online: true}, message.Response{Frame: []byte("x")},
	} {
		f.Add(uint8(i), uint32(1), uint64(3), message.Encode(m))
	}
	f.Fuzz(func(t *testing.T, channel uint8, number uint32, sequence uint64, body []byte) {
		s := newScript()
		s.join(run(1))
		s.peer.Receive(s.now, Input{
			Channel:   channels[int(channel)%len(channels)],
			Envelope:  seal.Envelope{Sender: run(number), Sequence: sequence, Body: body},
			Challenge: 5,
		}, s.facts)
		if got := s.peer.Run(); got != run(1) {
			t.Fatalf("run %s became current", got)
		}
	})
}
