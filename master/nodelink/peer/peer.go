package peer

import (
	"slices"
	"time"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// maxPending bounds the challenges that wait for an echo, maxEarlier the runs remembered to notice one that
// comes back. Both are many more than an honest node needs.
const (
	maxPending = 4
	maxEarlier = 4
)

// repeatGap is how soon a document that was just sent may be sent again because a message asks for it.
const repeatGap = time.Second

// Peer is what the master knows of one node's conversation. The zero value knows nothing.
type Peer struct {
	current seal.Run // zero: none has proven to be current
	boot    string   // its boot id
	heard   clock.Now
	window  seal.Window
	pending []pending
	earlier []seal.Run // replaced, oldest first

	// status is the digest of everything that the current run has reported, as far as it arrived in order;
	// zero means that a complete status is needed.
	status    message.Digest
	announced connection // the newest connection that any run announced
	asked     map[question]clock.Now
	offered   [32]byte // the next key that was stored last
}

// question is something that the node is asked for, or told.
type question struct {
	resync  message.Resync
	key     bool // a new one
	kept    bool // that another one than before is stored
	removed bool // that it was
}

// pending is a challenge given out and not yet echoed.
type pending struct {
	run       seal.Run
	boot      string // as its hello says
	echo      uint64 // the hello's challenge
	challenge uint64
	heard     uint64 // the highest number that came from the run meanwhile, and was refused
	passed    bool   // the run has echoed another one: it won't take this one's welcome any more
}

type connection struct {
	run    seal.Run
	number uint64
}

// Input is one message of the node.
type Input struct {
	Channel   string        // of package protocol
	Envelope  seal.Envelope // opened
	Next      bool          // with the node's next key, not the one in force
	Challenge uint64        // fresh and random; spent when the message is a hello
}

// Facts is what the machine needs to know of the rest of the master.
type Facts struct {
	Epoch     message.Epoch
	Settings  message.Settings
	Desired   message.Position // of the node's newest document
	Digest    message.Digest   // of its content
	Sent      bool             // whether it was ever published in this epoch,
	Published clock.Now        // and when
	Revoked   int64            // when the node's key was, Unix seconds; 0: it was not
	Rotate    bool             // the node shall have another key than the one in force
}

// Run is the node's current run; zero when none has proven to be.
func (p *Peer) Run() seal.Run { return p.current }

// Boot is the boot id of the machine that the current run is on.
func (p *Peer) Boot() string { return p.boot }

// Knows reports whether the run is current or may prove to be. What another one sends needs no opening, unless it
// is a hello or a presence mark.
func (p *Peer) Knows(run seal.Run) bool {
	return run == p.current || slices.ContainsFunc(p.pending, func(c pending) bool { return c.run == run })
}

// Unopened takes in that a message came that was not opened, for whatever reason. The run is what it claims.
func (p *Peer) Unopened(now clock.Now, run seal.Run, reason string, facts Facts) []Effect {
	effects := []Effect{Refused{reason}}
	switch {
	case facts.Revoked != 0:
		if p.mayAsk(now, facts, question{removed: true}) { // that it was told may be lost
			effects = append(effects, Revoke{message.Revoked{Time: facts.Revoked}})
		}
	case run != p.current:
		effects = append(effects, p.askUnknown(now, run, facts)...)
	}
	return effects
}

// Forget makes the next heartbeat fetch a complete status: what was reported may be lost, or overwritten.
func (p *Peer) Forget() { p.status = message.Digest{} }

// Receive takes in a message of the node.
func (p *Peer) Receive(now clock.Now, in Input, facts Facts) []Effect {
	if facts.Revoked != 0 {
		if in.Channel != protocol.Hello {
			return p.Unopened(now, in.Envelope.Sender, KeyRevoked, facts)
		}
		return decode(in, func(message.Hello) []Effect {
			return []Effect{Refused{KeyRevoked}, Revoke{message.Revoked{Time: facts.Revoked}}}
		})
	}
	switch in.Channel {
	case protocol.Hello:
		return decode(in, func(m message.Hello) []Effect { return p.hello(now, in, m, facts) })
	case protocol.Status:
		return decode(in, func(m message.Status) []Effect { return p.report(now, in, m, facts) })
	case protocol.Presence:
		return decode(in, func(m message.Presence) []Effect { return p.presence(in, m) })
	case protocol.Beat:
		return decode(in, func(m message.Heartbeat) []Effect {
			return p.fromCurrent(now, in, facts, func() []Effect { return p.beat(now, in, m, facts) })
		})
	case protocol.Response:
		return decode(in, func(m message.Response) []Effect {
			return p.fromCurrent(now, in, facts, func() []Effect { return p.response(now, in, m, facts) })
		})
	}
	return []Effect{Refused{Malformed}}
}

func decode[T any](in Input, then func(T) []Effect) []Effect {
	m, err := message.Decode[T](in.Envelope.Body)
	if err != nil {
		return []Effect{Refused{Malformed}}
	}
	return then(m)
}

// hello is not proof of anything: it may have been recorded. It is answered, and changes nothing but pending.
func (p *Peer) hello(now clock.Now, in Input, m message.Hello, facts Facts) []Effect {
	if in.Envelope.Sender == p.current && !p.window.Accept(protocol.Hello, in.Envelope) {
		return []Effect{Refused{Repeated}}
	}
	var effects []Effect
	switch {
	case facts.Epoch.Less(m.Highest):
		effects = append(effects, Outranked{m.Highest})
	case m.Stored.Serial == 0 || m.Stored.Epoch != facts.Epoch:
	case facts.Desired.Less(m.Stored), facts.Desired == m.Stored && facts.Digest != m.Digest:
		// Another master has led in an epoch of this number, after the backup that this one was restored from. The node
		// would take a document for what it has already that is numbered the same.
		effects = append(effects, Outranked{m.Stored.Epoch})
	}
	challenge, repeated := p.challenge(in, m)
	if repeated || m.Highest.Less(facts.Epoch) {
		// A node that knows the epoch may still not know who leads, and then no welcome counts: its agent is new, and the
		// broker has lost the announcement.
		effects = append(effects, Announce{})
	}
	effects = append(effects, Welcome{message.Welcome{
		Echo:      m.Challenge,
		Challenge: challenge,
		Desired:   facts.Desired,
		Digest:    facts.Digest,
		Settings:  facts.Settings,
	}})
	if m.Digest != facts.Digest {
		effects = append(effects, p.publish(now, facts, repeatGap, "the node has stored another one")...)
	}
	return effects
}

// challenge is the one that waits for this hello already, which is then a repeated one, or a new one.
func (p *Peer) challenge(in Input, m message.Hello) (challenge uint64, repeated bool) {
	for _, c := range p.pending {
		if c.run == in.Envelope.Sender && c.echo == m.Challenge {
			return c.challenge, true
		}
	}
	if len(p.pending) == maxPending {
		p.pending = append(p.pending[:0], p.pending[1:]...)
	}
	p.pending = append(p.pending, pending{run: in.Envelope.Sender, boot: m.BootID, echo: m.Challenge, challenge: in.Challenge})
	return in.Challenge, false
}

// report takes in a status. A complete one that echoes a pending challenge makes its run the current one.
func (p *Peer) report(now clock.Now, in Input, m message.Status, facts Facts) []Effect {
	if proven, ok := p.proves(in.Envelope.Sender, m); ok {
		effects := p.makeCurrent(in, proven)
		p.heard, p.status = now, m.Digest
		return append(effects, Heard{}, Report{Status: m})
	}
	if m.Complete && in.Envelope.Sender != p.current {
		p.pass(in.Envelope.Sender)
	}
	return p.fromCurrent(now, in, facts, func() []Effect {
		var effects []Effect
		if in.Next {
			effects = append(effects, Current{Run: p.current}) // its next key was proven, and could not be put in force
		}
		effects = append(effects, Heard{}, Report{Status: m})
		if !m.Complete && m.Base != p.status {
			// What it says of each pod is newer than all that came before; what came between is missing.
			p.Forget()
			return append(effects, p.ask(now, facts, message.Resync{Status: true}, "an earlier status is missing")...)
		}
		p.status = m.Digest
		return effects
	})
}

// proves spends the pending challenge of the run that a complete status echoes.
func (p *Peer) proves(run seal.Run, m message.Status) (pending, bool) {
	for i, c := range p.pending {
		if m.Complete && c.run == run && c.challenge == m.Echo {
			p.pending = append(p.pending[:i], p.pending[i+1:]...)
			return c, true
		}
	}
	return pending{}, false
}

// pass notes that a run has echoed a challenge that is not known here, or no longer.
func (p *Peer) pass(run seal.Run) {
	for i := range p.pending {
		if p.pending[i].run == run {
			p.pending[i].passed = true
		}
	}
}

// makeCurrent makes a run the node's; what was heard of it while its challenge waited counts as seen.
func (p *Peer) makeCurrent(in Input, proven pending) []Effect {
	e := in.Envelope
	if e.Sender == p.current && !in.Next {
		p.window.Accept(protocol.Status, e)
		return nil
	}
	duplicate := slices.Contains(p.earlier, e.Sender)
	if !p.current.IsZero() && e.Sender != p.current {
		if len(p.earlier) == maxEarlier {
			p.earlier = append(p.earlier[:0], p.earlier[1:]...)
		}
		p.earlier = append(p.earlier, p.current)
	}
	p.current, p.boot = e.Sender, proven.boot
	p.window.ResetAt(e.Sender, max(proven.heard, e.Sequence))
	return []Effect{Current{Run: e.Sender, Duplicate: duplicate}}
}

// presence is a hint. It is retained, so that it may be old; connection numbers order it.
func (p *Peer) presence(in Input, m message.Presence) []Effect {
	run := in.Envelope.Sender
	if m.Online {
		switch {
		case p.announced.run == run:
			p.announced.number = max(p.announced.number, m.Connection)
		case p.announced.run != p.current || run == p.current:
			p.announced = connection{run: run, number: m.Connection}
		}
		return nil
	}
	if run != p.current || p.announced.run == run && m.Connection < p.announced.number {
		return nil // an earlier process or connection ended
	}
	return []Effect{Offline{}}
}

func (p *Peer) beat(now clock.Now, in Input, m message.Heartbeat, facts Facts) []Effect {
	heard := Heard{Applied: m.Applied}
	if m.Readings != (message.Readings{}) {
		heard.Readings = &m.Readings
	}
	effects := []Effect{heard}
	switch {
	case m.Status != p.status || p.status.IsZero():
		effects = append(effects, p.ask(now, facts, message.Resync{Status: true}, "the status digest differs")...)
	case in.Next:
		effects = append(effects, p.ask(now, facts, message.Resync{Status: true}, "the next key is not in force")...)
	}
	if m.Ask != 0 {
		effects = append(effects, Asked{Ask: m.Ask})
	}
	if facts.Rotate && !in.Next && p.mayAsk(now, facts, question{key: true}) {
		effects = append(effects, Rotate{})
	}
	switch {
	case facts.Epoch.Less(m.Applied.Epoch), m.Applied.Epoch == facts.Epoch && facts.Desired.Less(m.Applied):
		effects = append(effects, Outranked{m.Applied.Epoch})
	case m.Applied != facts.Desired:
		effects = append(effects, p.publish(now, facts, facts.Settings.Heartbeat(), "the node has applied "+m.Applied.String())...)
	}
	return effects
}

func (p *Peer) response(now clock.Now, in Input, m message.Response, facts Facts) []Effect {
	effects := []Effect{Heard{}}
	if m.WantDesired != nil {
		effects = append(effects, p.publish(now, facts, repeatGap, "the node asks for it")...)
	}
	if m.NextKey != nil && !in.Next && p.mayKeep(now, facts, m.NextKey.Key) { // one key after the other
		effects = append(effects, KeepKey{m.NextKey.Key})
	}
	if m.Released != nil {
		effects = append(effects, Released{Pods: m.Released.Pods})
	}
	if m.Frame != nil {
		effects = append(effects, Frame{m.Frame})
	}
	return effects
}

// fromCurrent calls then for a new message of the current run and refuses every other one.
func (p *Peer) fromCurrent(now clock.Now, in Input, facts Facts, then func() []Effect) []Effect {
	e := in.Envelope
	if e.Sender != p.current {
		for i := range p.pending {
			if c := &p.pending[i]; c.run == e.Sender {
				c.heard = max(c.heard, e.Sequence)
			}
		}
		return append([]Effect{Refused{UnknownRun}}, p.askUnknown(now, e.Sender, facts)...)
	}
	if !p.window.Accept(in.Channel, e) {
		return []Effect{Refused{Repeated}}
	}
	p.heard = now
	return then()
}

// askUnknown makes a run that isn't current prove itself, unless the one that is current is alive: then the
// message is late or recorded, and another agent with the same identity has to say hello by itself.
func (p *Peer) askUnknown(now clock.Now, run seal.Run, facts Facts) []Effect {
	if !p.current.IsZero() && now.Since(p.heard) < facts.Settings.Heartbeat()*3/2 {
		return nil
	}
	for _, c := range p.pending {
		if c.run == run && !c.passed {
			return p.ask(now, facts, message.Resync{Status: true}, "the run has not echoed its challenge")
		}
	}
	return p.ask(now, facts, message.Resync{Hello: true}, "the run is not known")
}

func (p *Peer) ask(now clock.Now, facts Facts, what message.Resync, why string) []Effect {
	if !p.mayAsk(now, facts, question{resync: what}) {
		return nil
	}
	return []Effect{Ask{Resync: what, Why: why}}
}

// mayAsk notes a question, and allows the same one at most twice an interval.
func (p *Peer) mayAsk(now clock.Now, facts Facts, q question) bool {
	if last, ok := p.asked[q]; ok && now.Since(last) < facts.Settings.Heartbeat()/2 {
		return false
	}
	if p.asked == nil {
		p.asked = map[question]clock.Now{}
	}
	p.asked[q] = now
	return true
}

// mayKeep allows a key that is offered again, and another one at most twice an interval: each of those is a write.
func (p *Peer) mayKeep(now clock.Now, facts Facts, key [32]byte) bool {
	if key != p.offered && !p.mayAsk(now, facts, question{kept: true}) {
		return false
	}
	p.offered = key
	return true
}

// publish sends the document again unless it was sent less than gap ago and may still be on its way.
func (p *Peer) publish(now clock.Now, facts Facts, gap time.Duration, why string) []Effect {
	if facts.Sent && now.Since(facts.Published) < gap {
		return nil
	}
	return []Effect{Publish{Why: why}}
}
