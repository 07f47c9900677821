package nodelink

import (
	"time"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// announceEvery is how often the leader's announcement is repeated though nothing changed.
const announceEvery = 5 * time.Minute

// announcement is what is known of the leader's announcement. A zero sentAt means that it is due.
type announcement struct {
	wanted bool // a node has not seen it
	sent   bool // since the connection or the epoch changed
	sentAt clock.Now
}

// announce says who leads: at once on a new connection or epoch, every five minutes, and when a node shows that
// it does not know, at most once an interval.
func (l *Link) announce(now clock.Now) {
	a := &l.announcement
	if !l.line.connected || a.sent && !now.Reached(l.announceAt()) {
		return
	}
	m := message.Leader{Epoch: l.epoch, Time: now.Wall.Unix(), Master: l.config.Master}
	topic := l.config.Topics.Leader()
	if l.config.Sign != nil {
		m.Signature = l.config.Sign(m.SigningInput(topic, l.config.Run.Number, l.config.Run.Nonce))
	}
	if err := l.sender.send(topic, m, 1, true); err != nil {
		l.log.Warn().Err(err).Msg("leader not announced")
		l.retry(now)
		return
	}
	*a = announcement{sent: true, sentAt: now}
}

func (l *Link) announceAt() clock.Now {
	if l.announcement.wanted {
		return l.announcement.sentAt.Add(l.config.Settings.Heartbeat())
	}
	return l.announcement.sentAt.Add(announceEvery)
}

// line is the master's own connection to the broker. It is up while messages come back: a connection may be
// dead for minutes before TCP says so, and the nodes' silence then says nothing about the nodes.
type line struct {
	known     bool
	up        bool
	connected bool
	number    uint64
	proofAt   clock.Now // when the connection began, or the last message arrived
	probeAt   clock.Now
}

// patience is how long no message may arrive, though a probe goes out each interval, before the line counts as
// down; always before a node would be given up.
func (l *Link) patience() time.Duration {
	return min(l.config.Settings.Heartbeat()*5/2, l.config.Settings.Timeout()*5/6)
}

// followLine notices a change of the connection, sends the probe, and records whether the line is up.
func (l *Link) followLine(now clock.Now) {
	n := &l.line
	number, connected := l.config.Bus.Connection()
	if connected && (!n.connected || number != n.number) {
		n.proofAt, n.probeAt = now, now
		l.announcement = announcement{}
	}
	n.number, n.connected = number, connected
	if connected && now.Reached(n.probeAt) {
		n.probeAt = now.Add(l.config.Settings.Heartbeat())
		if err := l.sender.send(l.probeTopic(), struct{}{}, 0, false); err != nil {
			l.log.Warn().Err(err).Msg("probe not sent")
		}
	}
	up := connected && now.Since(n.proofAt) < l.patience()
	if n.known && up == n.up {
		return
	}
	n.known, n.up = true, up
	l.metrics.up.Set(0)
	if up {
		l.metrics.up.Set(1)
	}
	l.log.Info().Bool("up", up).Uint64("connection", number).Msg("broker connection changed")
	l.seen.set(resource.LinkName, resource.Seen{HeardBoot: now.Boot, HeardWall: now.Wall.UnixNano(), Online: up})
	l.seen.urgent = true
}

// lineNext is when followLine has something to do again.
func (l *Link) lineNext() clock.Now {
	if !l.line.connected {
		return clock.Never
	}
	next := l.line.probeAt
	if l.line.up {
		next = clock.Earliest(next, l.line.proofAt.Add(l.patience()))
	}
	return next
}

// probeTopic is named after the run: a host name is not always a topic level.
func (l *Link) probeTopic() string { return l.config.Topics.Probe(l.config.Run.String()) }
