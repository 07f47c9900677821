package nodelink

import (
	"time"

	"github.com/skerry-edge/skerry/master/nodelink/desired"
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
	m.Signature = l.config.Sign(m.SigningInput(topic, l.config.Run.Number, l.config.Run.Nonce))
	if err := l.sender.Announce(topic, m); err != nil {
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
	changedAt clock.Now // when it last went up or down
	proofAt   clock.Now // when the connection began, or the last message arrived that was certainly new
	probeAt   clock.Now
	askedAt   clock.Now     // when the first probe was sent since one has come back; zero: none was
	proven    time.Duration // when the newest probe that has come back was sent, by the boot clock
	written   time.Duration // proven as it was last recorded
	lookAt    clock.Now     // when to look for nodes that are overdue
	overdue   bool          // there are some
	told      bool          // users were told that it is down
}

// probe is what the master sends to itself.
type probe struct {
	Sent time.Duration `cbor:"1,keyasint"` // by the boot clock
}

// patience is how long no message may arrive, though a probe goes out each interval, before the line counts as
// down; always before a node would be given up.
func (l *Link) patience() time.Duration {
	return min(l.config.Settings.Heartbeat()*5/2, l.config.Settings.Timeout()*5/6)
}

// receiveProbe notes how far the line is proven: the broker had sent everything before the probe. Nobody else can
// make one. Where none has come back for an interval the line was as good as down, though nobody noticed in time: what was
// sent to the master meanwhile may be lost, so the nodes' silence counts from now, as after a return of the broker.
func (l *Link) receiveProbe(now clock.Now, payload []byte) {
	envelope, err := l.selfEnd.Open(l.probeTopic(), l.config.Run, payload)
	if err != nil || envelope.Sender != l.config.Run {
		return
	}
	p, err := message.Decode[probe](envelope.Body)
	if err != nil || p.Sent > now.Boot || p.Sent <= l.line.proven {
		return // one that came before proves nothing now
	}
	n := &l.line
	if n.up && n.askedAt.Boot != 0 && now.Since(n.askedAt) > l.config.Settings.Heartbeat() {
		n.changedAt = now
	}
	n.proofAt, n.proven, n.askedAt = now, p.Sent, clock.Now{}
}

// followLine notices a change of the connection, sends the probe, and records whether the line is up and how far
// it is proven. It is in the commit of what was heard, so that an old record of the nodes has an old proof.
func (l *Link) followLine(now clock.Now) {
	n := &l.line
	number, connected := l.config.Bus.Connection()
	if connected && (!n.connected || number != n.number) {
		n.proofAt, n.probeAt, n.lookAt, n.askedAt = now, now, now, clock.Now{}
		l.announcement = announcement{}
	}
	n.number, n.connected = number, connected
	if connected && now.Reached(n.lookAt) {
		n.overdue, n.lookAt = l.lookForOverdue(now)
		if n.overdue {
			n.probeAt = now
		}
	}
	if connected && now.Reached(n.probeAt) {
		n.probeAt = now.Add(l.config.Settings.Heartbeat())
		if err := l.sender.Send(l.self, l.config.Run, l.probeTopic(), probe{Sent: now.Boot}, 0, false); err != nil {
			l.log.Warn().Err(err).Msg("probe not sent")
		}
		if n.askedAt.Boot == 0 {
			n.askedAt = now
		}
	}
	up := connected && now.Since(n.proofAt) < l.patience()
	if !n.known || up != n.up {
		l.turnLine(now, up)
	}
	if n.proven > n.written {
		l.seen.urgent = l.seen.urgent || n.overdue
		l.recordLine()
	}
}

// turnLine notes that the line went up or down.
func (l *Link) turnLine(now clock.Now, up bool) {
	n := &l.line
	if n.known && !up || n.told {
		n.told = !up
		l.tellLine(now, up)
	}
	n.known, n.up, n.changedAt = true, up, now
	l.metrics.up.Set(0)
	if up {
		l.metrics.up.Set(1)
	}
	l.log.Info().Bool("up", up).Uint64("connection", n.number).Msg("broker connection changed")
	l.recordLine()
	l.seen.urgent = true
}

func (l *Link) recordLine() {
	n := &l.line
	n.written = n.proven
	l.seen.set(resource.LinkName, resource.Seen{
		HeardBoot: n.changedAt.Boot, HeardWall: n.changedAt.Wall.UnixNano(), Online: n.up, ProofBoot: n.proven,
	})
}

// lookForOverdue reports whether a node owes a heartbeat or has sent its will, and when to look again. Until such
// a node is given up or must have been, probes go out as often as commits, and at the end of its node-timeout: it
// is given up only by a probe that was sent after that.
func (l *Link) lookForOverdue(now clock.Now) (overdue bool, again clock.Now) {
	again = now.Add(l.config.Settings.Heartbeat())
	for name, s := range l.seen.nodes {
		if name == resource.LinkName {
			continue
		}
		settings := desired.Paced(l.config.Settings, s.Slow || l.paces.metered[name])
		interval, timeout := settings.Heartbeat(), settings.Timeout()
		heard := s.Heard()
		if late := heard.Add(interval * 5 / 4); s.Online && !now.Reached(late) {
			again = clock.Earliest(again, late)
			continue
		}
		if now.Boot-max(s.HeardBoot, s.OfflineBoot, l.line.changedAt.Boot) >= 2*timeout {
			continue
		}
		overdue, again = true, clock.Earliest(again, now.Add(l.seen.gap))
		if end := heard.Add(timeout); !now.Reached(end) {
			again = clock.Earliest(again, end)
		}
	}
	return overdue, again
}

// lineNext is when followLine has something to do again.
func (l *Link) lineNext() clock.Now {
	if !l.line.connected {
		return clock.Never
	}
	next := clock.Earliest(l.line.probeAt, l.line.lookAt)
	if l.line.up {
		next = clock.Earliest(next, l.line.proofAt.Add(l.patience()))
	}
	return next
}

// probeTopic is named after the run: a host name is not always a topic level.
func (l *Link) probeTopic() string { return l.config.Topics.Probe(l.config.Run.String()) }
