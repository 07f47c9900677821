package peer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Settings come with the answer to a hello and with every document that is stored; an answer from before the stored
// document doesn't take its settings back. A shorter interval counts from now on.
func TestSettings(t *testing.T) {
	usual := message.Settings{HeartbeatMillis: 10_000, TimeoutMillis: 30_000}
	slow := message.Settings{HeartbeatMillis: 20_000, TimeoutMillis: 60_000}
	s := joined()
	answer := func(named message.Position, settings message.Settings) {
		s.wait(2 * time.Second)
		s.request(run(1), message.Request{Resync: &message.Resync{Hello: true}})
		s.request(run(1), message.Request{Welcome: &message.Welcome{
			Echo: s.peer.challenge, Challenge: 0xc, Desired: named, Digest: first, Settings: settings,
		}})
	}
	want := func(what string, settings message.Settings) {
		t.Helper()
		if d := cmp.Diff(settings, s.peer.Settings()); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	answer(at(epoch1, 5), slow)
	want("from the answer", slow)
	s.wait(time.Minute)

	s.desired(run(1), at(epoch1, 6), second)
	s.peer.Settle(s.now, usual)
	want("from the document", usual)
	if next := s.peer.Next(); !s.now.Add(usual.Heartbeat()).Reached(next) {
		t.Errorf("the next heartbeat is in %s", next.Since(s.now))
	}
	answer(at(epoch1, 5), slow)
	want("from an answer that is older than the document", usual)
	answer(at(epoch1, 6), slow)
	want("from an answer that is not", slow)
	s.peer.Settle(s.now, message.Settings{})
	want("when nothing is said", slow)

	fresh := newScript(Head{}, message.Epoch{})
	fresh.peer.Settle(clock.Now{}, slow) // as from the disk
	if next := fresh.peer.Next(); !next.IsNever() {
		t.Errorf("without a connection something is due: %v", next)
	}
}
