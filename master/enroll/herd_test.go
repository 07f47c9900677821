package enroll

import (
	"fmt"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// knock sends the first message of an attempt.
func (d *door) knock(id string) *seal.Joiner {
	d.t.Helper()
	j := d.joiner(id, 1)
	d.send(id, d.ask(j, id, 1, message.JoinAsk{Key: [32]byte(d.key(1).PublicKey().Bytes()), Node: id, Challenge: 5}))
	return j
}

// answered are the ids of the attempts that were answered since the last time, in their order.
func (d *door) answered() (ids []string) {
	for _, m := range d.answers.Drain() {
		id, _, _ := d.topics.ParseJoin(m.Topic)
		ids = append(ids, id)
	}
	return ids
}

// enter is a whole attempt. The verdict is empty when it has to wait.
func (d *door) enter(id, node string) message.JoinVerdict {
	d.t.Helper()
	j := d.joiner(id, 1)
	d.send(id, d.ask(j, id, 1, message.JoinAsk{Key: [32]byte(d.key(1).PublicKey().Bytes()), Node: node, Challenge: 5}))
	a, ok := d.answer(j, id)
	if !ok {
		return ""
	}
	d.send(id, d.proof(j, id, 2, message.JoinProof{Echo: a.Challenge, Token: d.token, Secret: d.secret}))
	if a, ok = d.answer(j, id); !ok {
		d.t.Fatalf("%s has shown its token and is told nothing", id)
	}
	return a.Verdict
}

// Strangers get burst answers at once, and then wait for their turn: one more each refill, until maxAttempts are under way,
// the first that came first. The Step says when the next one's turn is.
func TestStrangersWaitForTheirTurn(t *testing.T) {
	d := newDoor(t)
	for i := range 100 {
		d.knock(fmt.Sprintf("s%d", i))
	}
	if got := d.answered(); len(got) != burst+1 { // as many as fill it, and one that finds it not overdrawn
		t.Errorf("%d of 100 were answered at once", len(got))
	}
	for i := burst + 1; i < maxAttempts; i++ {
		next := d.step()
		if got := next.Since(d.now); got > refill {
			t.Fatalf("the next turn is in %s", got)
		}
		d.now = next
		d.step()
		if got, want := d.answered(), fmt.Sprintf("s%d", i); len(got) != 1 || got[0] != want {
			t.Fatalf("answered: %v, want %s", got, want)
		}
	}
	d.now = d.now.Add(10 * time.Second)
	d.step()
	if got := d.answered(); len(got) > 0 {
		t.Errorf("more than %d attempts are under way: %v", maxAttempts, got)
	}
}

// What waits is bounded in number and time, and asking again does not take a second place.
func TestTheQueueIsBounded(t *testing.T) {
	d := newDoor(t)
	ask := d.ask(d.joiner("a", 1), "a", 1, message.JoinAsk{}) // it is opened when its turn comes
	for i := range maxAttempts + maxWaiting {
		for range 2 {
			d.send(fmt.Sprintf("s%d", i), ask)
		}
	}
	if n := len(d.enroller.waiting); n != maxWaiting || len(d.enroller.waits) != n {
		t.Errorf("%d wait, by id %d", n, len(d.enroller.waits))
	}
	if d.enroller.refused["too_many"] == 0 {
		t.Error("nobody was refused")
	}
	d.now = d.now.Add(patience)
	d.step()
	if n, w := len(d.enroller.attempts), len(d.enroller.waiting); n != 0 || w != 0 || len(d.enroller.waits) != 0 {
		t.Errorf("a minute later %d attempts are under way, and %d wait", n, w)
	}
	if got := d.enter("fresh", "n1"); got != message.Joined {
		t.Errorf("then a machine is told %q", got)
	}
}

// A fleet is no crowd of strangers: who shows a good token takes nobody's turn, however many come at one moment.
func TestAFleetComesAtOnce(t *testing.T) {
	d := newDoor(t)
	for i := range maxLetIn + 100 {
		if got := d.enter(fmt.Sprintf("a%d", i), fmt.Sprintf("n%d", i)); got != message.Joined {
			t.Fatalf("machine %d is told %q", i, got)
		}
	}
	d.step()
	if n := len(d.enroller.attempts); n != maxLetIn || len(d.enroller.letIn) != n {
		t.Errorf("%d attempts are remembered, %d of them were let in", n, len(d.enroller.letIn))
	}
	if n := d.joined(); n != maxLetIn+100 {
		t.Errorf("%d have joined", n)
	}
}

// Whoever shows again what it has shown already spends no use of the token, and gets its turn back for none.
func TestJoiningAgainIsNotFree(t *testing.T) {
	d := newDoor(t)
	let := 0
	for i := range 100 {
		if d.enter(fmt.Sprintf("a%d", i), "n1") == message.Joined {
			let++
		}
	}
	if let > burst+2 {
		t.Errorf("%d attempts for one node were judged at one moment", let)
	}
}
