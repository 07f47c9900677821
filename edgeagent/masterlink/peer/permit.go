package peer

import (
	"time"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// askGap is the least between two heartbeats because pods wait for a permit.
const askGap = time.Second

// ask is what a heartbeat that is sent now says of permits: its time, which the grant names.
func (p *Peer) ask(now clock.Now, node Snapshot) uint64 {
	if !node.Asks {
		return 0
	}
	p.asked.last = uint64(max(now.Boot.Milliseconds(), 1))
	if p.asked.first == 0 {
		p.asked.first = p.asked.last
	}
	p.asked.at, p.asked.waits = now, node.Waits
	return p.asked.last
}

// grant takes in a permit, if it answers a heartbeat of this run.
func (p *Peer) grant(g message.Grant) []Effect {
	if g.Ask == 0 || g.Ask < p.asked.first || g.Ask > p.asked.last {
		return []Effect{Refused{Malformed}}
	}
	return []Effect{Grant{g}}
}

// sendReleased says what is left of nothing. What is lost on the way is asked for again.
func (p *Peer) sendReleased(node Snapshot) []Effect {
	if len(node.Released) == 0 || !p.welcomed {
		return nil
	}
	return []Effect{Send{Channel: protocol.Response, Message: message.Response{Released: &message.Release{Pods: node.Released}}}}
}
