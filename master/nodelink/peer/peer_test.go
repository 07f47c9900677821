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
	}
	for _, e := range s.peer.Receive(s.now, in, s.facts) {
		fmt.Fprintf(&s.out, "    %s\n", e)
		if _, ok := e.(Publish); ok {
			s.facts.Sent, s.facts.Published = true, s.now
		}
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
