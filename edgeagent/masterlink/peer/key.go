package peer

import (
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Offer says that the next key pair is on disk. Its public key goes to the master, each interval until the master
// has it.
func (p *Peer) Offer(key [32]byte) { p.offer, p.offerAt = key, clock.Now{} }

func (p *Peer) offerKey(now clock.Now) []Effect {
	if !p.welcomed || p.offer == [32]byte{} || !now.Reached(p.offerAt) {
		return nil
	}
	p.offerAt = now.Add(p.settings.Heartbeat())
	return []Effect{Send{Channel: protocol.Response, QoS: 1, Message: message.Response{NextKey: &message.NewKey{Key: p.offer}}}}
}

// keyKept takes in that the master has stored a key.
func (p *Peer) keyKept(key [32]byte) []Effect {
	if p.offer == [32]byte{} || key != p.offer {
		return nil
	}
	return []Effect{UseKey{key}}
}

// Rekeyed says that the next key pair is the node's now: the conversation begins anew, for nothing that was sealed
// before is readable any more.
func (p *Peer) Rekeyed(now clock.Now) {
	p.offer = [32]byte{}
	p.forgetAnswer()
	if p.up {
		p.helloAt = now
	}
}

// revoke takes in that the node no longer belongs to the cluster.
func (p *Peer) revoke(m message.Revoked) []Effect {
	if p.revoked != 0 {
		return nil
	}
	p.revoked = max(m.Time, 1)
	p.forgetAnswer()
	p.helloAt, p.candidate = clock.Never, nil
	return []Effect{Revoke{p.revoked}}
}

// Revoked is when the node was removed from the cluster, Unix seconds of the master; 0: it was not.
func (p *Peer) Revoked() int64 { return p.revoked }
