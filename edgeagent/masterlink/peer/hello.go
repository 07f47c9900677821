package peer

import (
	"crypto/ed25519"
	"time"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Leader takes in an announcement of the leader.
func (p *Peer) Leader(now clock.Now, e seal.Envelope, chance Chance) []Effect {
	m, err := message.Decode[message.Leader](e.Body)
	switch {
	case err != nil:
		return []Effect{Refused{Malformed}}
	case !p.signed(m, e.Sender):
		return []Effect{Refused{BadSignature}}
	case m.Epoch.Less(p.highest):
		return []Effect{Refused{OldEpoch}}
	}
	var effects []Effect
	first := !p.announced
	p.announced, p.leaderHeard = true, now
	if now := (leader{e.Sender, m.Epoch}); now != p.leader {
		p.follow(now)
		effects = append(effects, Led{Run: e.Sender, Epoch: m.Epoch, Master: m.Master})
	}
	if p.kept.Less(p.highest) {
		effects = append(effects, KeepEpoch{p.highest})
	}
	switch {
	case first && p.welcomed && p.helloAt.IsNever():
		// It did not wait for the announcement, and has been answered.
	case first:
		// Reconnections are spread already, by the back-off.
		p.helloAt = now
	case !p.welcomed && p.waiting.IsNever() && p.revoked == 0:
		p.helloAt = clock.Earliest(p.helloAt, now.Add(fraction(p.settings.Heartbeat(), chance)))
	}
	return effects
}

// follow turns to another leader: nothing that the last one said about this run holds.
func (p *Peer) follow(next leader) {
	p.leader, p.highest = next, next.epoch
	p.forgetAnswer()
}

// forgetAnswer is as if the leader had not answered this run.
func (p *Peer) forgetAnswer() {
	p.welcomed, p.named, p.challenge = false, Head{}, 0
	p.waiting, p.unanswered = clock.Never, false
	p.desiredAt, p.beatAt = clock.Never, clock.Never
	p.window.Reset(p.leader.run)
	p.report.restart()
}

func (p *Peer) signed(m message.Leader, run seal.Run) bool {
	return ed25519.Verify(p.config.LeaderKey, m.SigningInput(p.config.LeaderTopic, run.Number, run.Nonce), m.Signature)
}

// sayHello says hello when it is due, repeats it until it is answered, and notices when it is not.
func (p *Peer) sayHello(now clock.Now, chance Chance) []Effect {
	var effects []Effect
	if now.Reached(p.leaderHeard.Add(leaderSilence)) {
		p.leaderHeard, p.helloAt = now, now
	}
	if p.revoked != 0 && p.saidHello {
		p.helloAt = later(p.helloAt, p.helloSent.Add(leaderSilence)) // whatever connections and leaders come
	}
	if now.Reached(p.helloAt) {
		if p.challenge == 0 {
			p.challenge = chance.Challenge
		}
		p.helloSent, p.saidHello = now, true
		if p.revoked != 0 {
			p.helloAt = now.Add(leaderSilence)
		} else {
			p.waiting = clock.Earliest(p.waiting, now)
			p.helloAt = now.Add(max(helloGap, p.settings.Heartbeat()/2))
		}
		effects = append(effects, Send{Channel: protocol.Hello, QoS: 1, Message: message.Hello{
			Challenge: p.challenge,
			BootID:    p.config.BootID,
			Stored:    p.stored.Position,
			Digest:    p.stored.Digest,
			Highest:   p.highest,
			Version:   p.config.Version,
		}})
	}
	if !p.waiting.IsNever() && !p.unanswered && now.Reached(p.waiting.Add(p.settings.Timeout())) {
		p.unanswered = true
		effects = append(effects, Unanswered{})
	}
	return effects
}

// Request takes in a message of the node's req topic.
func (p *Peer) Request(now clock.Now, e seal.Envelope) []Effect {
	m, err := message.Decode[message.Request](e.Body)
	if err != nil {
		return []Effect{Refused{Malformed}}
	}
	switch {
	case m.Revoked != nil && e.Sender == p.leader.run:
		return p.revoke(*m.Revoked)
	case p.revoked != 0:
		return []Effect{Refused{UnknownRun}}
	case m.Welcome != nil:
		return p.welcome(now, e, *m.Welcome)
	case m.Resync != nil && m.Resync.Hello:
		// Also from a run that isn't known here: its announcement may be lost, and a hello harms nobody.
		p.helloAt = clock.Earliest(p.helloAt, later(now, p.helloSent.Add(helloGap)))
	}
	switch {
	case e.Sender != p.leader.run || !p.welcomed:
		return []Effect{Refused{UnknownRun}}
	case !p.window.Accept(protocol.Request, e):
		return []Effect{Refused{Repeated}}
	case m.Resync != nil && m.Resync.Status:
		p.report.complete = true
	case m.Grant != nil:
		return p.grant(*m.Grant)
	case m.Release != nil:
		return []Effect{Release{m.Release.Pods}}
	case m.Frame != nil:
		return []Effect{Frame{m.Frame}}
	case m.Rotate != nil:
		return []Effect{MakeKey{}}
	case m.KeyKept != nil:
		return p.keyKept(m.KeyKept.Key)
	}
	return nil
}

func (p *Peer) welcome(now clock.Now, e seal.Envelope, m message.Welcome) []Effect {
	if e.Sender != p.leader.run {
		return []Effect{Refused{UnknownRun}}
	}
	if p.challenge == 0 || m.Echo != p.challenge {
		return []Effect{Refused{Repeated}}
	}
	if p.welcomed {
		p.window.Accept(protocol.Request, e)
	} else {
		p.window.ResetAt(e.Sender, e.Sequence)
		p.beatAt = now
	}
	p.welcomed, p.challenge, p.helloAt = true, 0, clock.Never
	p.waiting, p.unanswered = clock.Never, false
	p.named = Head{}
	if m.Desired.Serial != 0 {
		p.named = Head{Position: m.Desired, Digest: m.Digest}
	}
	p.report.complete, p.report.echo = true, m.Challenge
	if p.stored.Position.Epoch != m.Desired.Epoch || !m.Desired.Less(p.stored.Position) {
		p.Settle(now, m.Settings) // otherwise what is stored is newer than the answer
	}
	p.expectDesired(now)
	return []Effect{Welcomed{m.Desired}}
}

// Settle takes over what the master has decided, in its answer or in the document that is stored; zero means: as
// before. A heartbeat that is due later than at the new interval is sent sooner.
func (p *Peer) Settle(now clock.Now, s message.Settings) {
	if s.HeartbeatMillis != 0 {
		p.settings.HeartbeatMillis = s.HeartbeatMillis
	}
	if s.TimeoutMillis != 0 {
		p.settings.TimeoutMillis = s.TimeoutMillis
	}
	if !p.beatAt.IsNever() {
		p.beatAt = clock.Earliest(p.beatAt, now.Add(p.settings.Heartbeat()))
	}
}

func fraction(d time.Duration, chance Chance) time.Duration {
	return time.Duration(chance.Fraction * float64(d))
}

func later(a, b clock.Now) clock.Now {
	if a.Reached(b) {
		return a
	}
	return b
}
