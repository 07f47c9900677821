package masterlink

import (
	"errors"
	"fmt"
	"maps"

	"github.com/skerry-edge/skerry/edgeagent/masterlink/peer"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Step takes in what has arrived, does what is due and says when to call again at the latest. An error is
// final: the disk can't be read, or there is no randomness.
func (l *Link) Step(now clock.Now) (next clock.Now, err error) {
	if l.peer == nil {
		if err := l.start(); err != nil {
			return clock.Now{}, err
		}
	}
	l.followConnection(now)
	for _, m := range l.inbox.Drain() {
		effects, err := l.receive(now, m)
		if err != nil {
			return clock.Now{}, err
		}
		l.do(now, effects)
	}
	chance, err := l.chance()
	if err != nil {
		return clock.Now{}, err
	}
	l.do(now, l.peer.FollowDesired(now))
	l.do(now, l.peer.Step(now, l.snapshot(), chance))
	l.publishHealth(nil)
	return l.peer.Next(), nil
}

// start reads the disk, lets the node run what it says, and subscribes.
func (l *Link) start() error {
	position, digest, stored, err := l.config.Disk.Desired()
	if err != nil {
		return fmt.Errorf("read the stored desired state: %w", err)
	}
	epoch, err := l.config.Disk.Epoch()
	if err != nil {
		return fmt.Errorf("read the highest epoch: %w", err)
	}
	var settings message.Settings // of the stored document
	switch {
	case l.config.Revoked != 0:
		head := l.runNothing(peer.Head{Position: position, Digest: digest}) // what was left running ends
		position, digest = head.Position, head.Digest
	case position.Serial != 0:
		if content, err := decodeStored(digest, stored); err == nil {
			settings = content.Settings
			l.config.Local.Accept(content)
			l.useBrokers(content)
		} else {
			// What runs goes on; the master is asked for the document.
			l.log.Error().Err(err).Msg("stored desired state is damaged")
			position, digest = message.Position{}, message.Digest{}
		}
	}
	for _, topic := range []string{
		l.config.Topics.Leader(),
		l.config.Topics.Node(l.config.Node, protocol.Request),
		l.config.Topics.Node(l.config.Node, protocol.Desired),
	} {
		if err := l.config.Bus.Subscribe(topic, 1, l.inbox); err != nil {
			return fmt.Errorf("subscribe to %s: %w", topic, err)
		}
	}
	l.peer = peer.New(peer.Config{
		BootID:      l.config.BootID,
		Version:     l.config.Version,
		LeaderTopic: l.config.Topics.Leader(),
		LeaderKey:   l.config.LeaderKey,
		Stored:      peer.Head{Position: position, Digest: digest},
		Highest:     epoch,
		Settings:    l.config.Settings,
		Revoked:     l.config.Revoked,
	})
	l.peer.Settle(clock.Now{}, settings) // how long to wait between attempts to connect, before anybody has answered
	return nil
}

func decodeStored(digest message.Digest, stored []byte) (message.Content, error) {
	if found := message.DigestOf(stored); found != digest {
		return message.Content{}, fmt.Errorf("its digest is %s instead of %s", found, digest)
	}
	return message.Decode[message.Content](stored)
}

func (l *Link) followConnection(now clock.Now) {
	number, up := l.config.Bus.Connection()
	if number == l.connection && up == l.up {
		return
	}
	l.connection, l.up = number, up
	l.log.Info().Bool("up", up).Uint64("connection", number).Msg("broker connection changed")
	if up {
		l.do(now, l.peer.Connected(now, number))
	} else {
		l.peer.Disconnected()
	}
}

// receive opens a message and gives it to the machine.
func (l *Link) receive(now clock.Now, m bus.Message) ([]peer.Effect, error) {
	if m.Topic == l.config.Topics.Leader() {
		envelope, err := seal.Read(m.Payload)
		if err != nil {
			return []peer.Effect{peer.Refused{Reason: peer.Malformed}}, nil
		}
		chance, err := l.chance()
		if err != nil {
			return nil, err
		}
		return l.peer.Leader(now, envelope, chance), nil
	}
	_, channel, _ := l.config.Topics.Parse(m.Topic)
	to := l.config.Run
	if channel == protocol.Desired {
		to = seal.Run{} // it is retained, for whichever run comes
	}
	envelope, err := l.route.Load().box.Open(m.Topic, to, m.Payload)
	switch {
	case errors.Is(err, seal.ErrUnreadable):
		return []peer.Effect{peer.Refused{Reason: peer.Unreadable}}, nil
	case err != nil:
		return []peer.Effect{peer.Refused{Reason: peer.Malformed}}, nil
	case channel == protocol.Request:
		return l.peer.Request(now, envelope), nil
	case channel == protocol.Desired:
		return l.peer.Desired(now, envelope), nil
	}
	return nil, nil
}

func (l *Link) snapshot() peer.Snapshot {
	version, pods := l.config.Local.Statuses()
	asks, waits := l.config.Local.Permits()
	return peer.Snapshot{
		Asks:     asks,
		Waits:    waits,
		Released: l.config.Local.TakeReleased(),
		Version:  version,
		Pods:     pods,
		Node:     l.config.Local.Node(),
		Readings: l.config.Local.Readings(),
		Events:   l.config.Local.TakeEvents(),
	}
}

// do carries out effects in their order.
func (l *Link) do(now clock.Now, effects []peer.Effect) {
	for _, effect := range effects {
		switch e := effect.(type) {
		case peer.Send:
			if err := l.send(e.Channel, e.Message, e.QoS, e.Retain); err != nil {
				// The next heartbeat shows that it is missing.
				l.log.Warn().Err(err).Msg("message not sent")
			}
		case peer.Apply:
			l.apply(now, e.Document)
		case peer.KeepPosition:
			if err := l.config.Disk.KeepPosition(e.Position); err != nil {
				l.log.Error().Err(err).Msg("position of the desired state not stored")
				continue
			}
			l.peer.Stored(peer.Head(e))
		case peer.KeepEpoch:
			if err := l.config.Disk.KeepEpoch(e.Epoch); err != nil {
				l.log.Error().Err(err).Msg("epoch not stored")
				continue
			}
			l.peer.EpochKept(e.Epoch)
		case peer.Grant:
			l.config.Local.Grant(e.Grant)
		case peer.Release:
			l.config.Local.Release(e.Pods)
		case peer.Frame:
			if l.config.Frames != nil {
				l.config.Frames.Deliver(e.Data)
			}
		case peer.Refused:
			l.publishHealth(&e)
			l.log.Debug().Str("reason", e.Reason).Msg("message refused")
		case peer.MakeKey:
			l.makeKey()
		case peer.UseKey:
			l.useKey(now, e.Key)
		case peer.Revoke:
			l.revoke(e)
		case peer.Led:
			l.route.Store(&route{box: l.route.Load().box, master: e.Run})
			l.log.Info().Stringer("epoch", e.Epoch).Stringer("run", e.Run).Str("master", e.Master).Msg("master leads")
		case peer.Welcomed:
			l.config.Local.Unconfirm()
			l.log.Info().Stringer("desired", e.Desired).Msg("master answered")
		case peer.Unanswered:
			l.log.Warn().Msg("no master answers; the stored desired state goes on")
			l.reconnect(true)
		}
	}
}

// apply stores a desired state, and only then lets the node know it.
func (l *Link) apply(now clock.Now, doc message.Desired) {
	encoded, content, err := doc.Unpack()
	if err != nil {
		l.log.Error().Err(err).Msg("desired state refused")
		l.publishHealth(&peer.Refused{Reason: peer.Malformed})
		l.peer.Rejected()
		return
	}
	if err := l.config.Disk.KeepDesired(doc.Position, doc.Digest, encoded); err != nil {
		l.log.Error().Err(err).Msg("desired state not stored; the last one goes on")
		return
	}
	l.peer.Stored(peer.Head{Position: doc.Position, Digest: doc.Digest})
	l.peer.Settle(now, content.Settings)
	l.config.Local.Accept(content)
	l.useBrokers(content)
	l.metrics.accepted.Inc()
	l.log.Info().Stringer("desired", doc.Position).Int("pods", len(content.Pods)).Msg("desired state accepted")
}

func (l *Link) useBrokers(content message.Content) {
	if l.config.Brokers != nil {
		l.config.Brokers(content.Settings.Brokers)
	}
}

// publishHealth shows the link's state to other goroutines, with one more refusal if there was one.
func (l *Link) publishHealth(refused *peer.Refused) {
	old := l.health.Load()
	next := Health{
		Connected: l.up,
		Welcomed:  l.up && l.peer.Welcomed(),
		Answered:  l.peer.Answered(),
		Revoked:   l.peer.Revoked(),
		Refused:   old.Refused,
		Dropped:   l.inbox.Dropped(),
		Settings:  l.peer.Settings(),
	}
	if refused != nil {
		l.metrics.refused.WithLabelValues(refused.Reason).Inc()
		next.Refused = maps.Clone(old.Refused)
		if next.Refused == nil {
			next.Refused = map[string]uint64{}
		}
		next.Refused[refused.Reason]++
	}
	l.health.Store(&next)
}
