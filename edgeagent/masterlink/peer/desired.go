package peer

import (
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Desired takes in a document. It is held until the leader has said which is the newest one; an old one, which
// a broker may keep repeating, is nothing to remark on.
func (p *Peer) Desired(now clock.Now, e seal.Envelope) []Effect {
	m, err := message.Decode[message.Desired](e.Body)
	if err != nil {
		return []Effect{Refused{Malformed}}
	}
	if !p.stored.Position.Less(m.Position) || p.candidate != nil && !p.replaces(m.Position, e.Sender) {
		return nil
	}
	p.candidate, p.candidateOf = &m, e.Sender
	if p.acceptable() {
		p.desiredAt = now
	}
	return nil
}

// replaces reports whether a document goes before the one that is held: as the newer one of the same master, or as
// that of another master than the held one, unless the latter is the leader's. Positions of two masters say nothing
// of each other.
func (p *Peer) replaces(position message.Position, sender seal.Run) bool {
	if sender == p.candidateOf {
		return p.candidate.Position.Less(position)
	}
	return p.candidateOf != p.leader.run
}

// acceptable reports whether the document held may be applied: the leader has answered this run, the document is the
// leader's own and of its epoch (which two masters share when one was restored from a backup), newer than what is
// stored, and not older than what the answer named.
func (p *Peer) acceptable() bool {
	return p.welcomed && p.candidate != nil && p.candidateOf == p.leader.run &&
		p.candidate.Position.Epoch == p.leader.epoch &&
		p.stored.Position.Less(p.candidate.Position) &&
		!p.candidate.Position.Less(p.named.Position)
}

// expectDesired is called when the leader has named the newest document.
func (p *Peer) expectDesired(now clock.Now) {
	switch {
	case p.acceptable() || p.storedIsNamed():
		p.desiredAt = now
	case p.stored.Position.Less(p.named.Position):
		p.desiredAt = now.Add(desiredPatience)
	}
}

// storedIsNamed reports whether the content on disk is the one named, which another master may have numbered
// differently.
func (p *Peer) storedIsNamed() bool {
	return p.stored.Position.Less(p.named.Position) && p.stored.Digest == p.named.Digest
}

// FollowDesired applies the newest document, or asks for it, and tries again an interval later if neither helps.
// Step then reports what has been stored.
func (p *Peer) FollowDesired(now clock.Now) []Effect {
	if !p.up || !p.welcomed || !now.Reached(p.desiredAt) {
		return nil
	}
	p.desiredAt = now.Add(p.settings.Heartbeat())
	switch {
	case p.acceptable() && p.candidate.Digest == p.stored.Digest:
		return []Effect{KeepPosition{Position: p.candidate.Position, Digest: p.stored.Digest}}
	case p.acceptable():
		return []Effect{Apply{*p.candidate}}
	case p.storedIsNamed():
		return []Effect{KeepPosition{Position: p.named.Position, Digest: p.stored.Digest}}
	case p.stored.Position.Less(p.named.Position):
		return []Effect{Send{Channel: protocol.Response, QoS: 1, Message: message.Response{
			WantDesired: &message.WantDesired{Have: p.stored.Position},
		}}}
	}
	p.desiredAt = clock.Never
	return nil
}
