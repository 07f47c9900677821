package nodelink

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink/desired"
	"github.com/skerry-edge/skerry/master/nodelink/peer"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Step takes in what has arrived, does what is due and says when to call again at the latest. An error is
// final: the store is closed, or there is no randomness.
func (l *Link) Step(now clock.Now) (next clock.Now, err error) {
	l.retryAt = clock.Never
	if err := l.start(); err != nil {
		return clock.Now{}, err
	}
	if err := l.followStore(); err != nil {
		return clock.Now{}, err
	}
	if err := l.receiveAll(now); err != nil {
		return clock.Now{}, err
	}
	l.writeReports(now)
	if err := l.followStore(); err != nil { // what the reports changed
		return clock.Now{}, err
	}
	l.followLine(now)
	l.announce(now)
	l.publishDesired(now)
	l.writeSeen(now)

	next = clock.Earliest(l.retryAt, l.seen.due(), l.lineNext())
	if l.line.connected {
		next = clock.Earliest(next, l.announceAt())
	}
	return next, nil
}

// start subscribes and begins to follow the store, once; and begins anew when the store has begun an epoch.
func (l *Link) start() error {
	if !l.started {
		filters := []string{l.probeTopic()}
		for _, channel := range []string{
			protocol.Hello, protocol.Beat, protocol.Presence, protocol.Status, protocol.Response,
		} {
			filters = append(filters, l.config.Topics.AllNodes(channel))
		}
		for _, filter := range filters {
			if err := l.config.Bus.Subscribe(filter, 1, l.inbox); err != nil {
				return fmt.Errorf("subscribe to %s: %w", filter, err)
			}
		}
		l.started = true
	}
	if epoch := message.Epoch(l.config.Store.Epoch()); l.book == nil || epoch != l.epoch {
		l.epoch = epoch
		l.book = desired.NewBook(epoch, l.config.Settings, l.packer)
		l.announcement = announcement{}
		for _, n := range l.nodes {
			n.sent = false
		}
		return l.watch()
	}
	return nil
}

// watch reads the whole store and follows it from there.
func (l *Link) watch() error {
	for _, c := range l.cursors {
		c.Close()
	}
	l.cursors = nil
	view := l.config.Store.View()
	for _, kind := range desired.Kinds {
		cursor, err := l.config.Store.Watch(kind, view.Rev(), l.awake)
		if err != nil {
			return fmt.Errorf("watch %s: %w", kind, err)
		}
		l.cursors = append(l.cursors, cursor)
	}
	if err := l.book.Reset(view); err != nil {
		return fmt.Errorf("read what nodes shall run: %w", err)
	}
	var deleted []string
	for rec := range view.List(resource.SeenKind, "") {
		_, exists := view.Get(resource.Nodes.Key("", rec.Key.Name))
		if !exists && rec.Key.Name != resource.LinkName {
			deleted = append(deleted, rec.Key.Name)
		}
	}
	l.forgetSeen(deleted...)
	for _, n := range l.nodes {
		n.peer.Forget() // a node may have been given up and come back meanwhile
	}
	return nil
}

// followStore takes in all writes since the last time.
func (l *Link) followStore() error {
	for _, c := range l.cursors {
		for {
			e, ok, err := c.Next()
			if errors.Is(err, store.ErrCompacted) {
				return l.watch()
			}
			if err != nil {
				return fmt.Errorf("follow the store: %w", err)
			}
			if !ok {
				break
			}
			if err := l.observe(e); err != nil {
				l.log.Error().Err(err).Msg("write not understood")
			}
		}
	}
	return nil
}

func (l *Link) observe(e change.Event) error {
	if err := l.book.Observe(e); err != nil {
		return err
	}
	if e.Key.Kind != resource.Nodes.Kind {
		return nil
	}
	if !e.New.Exists() {
		l.forgetSeen(e.Key.Name)
		return nil
	}
	n := l.nodes[e.Key.Name]
	if n == nil || !e.Old.Exists() {
		return nil
	}
	changed, err := readyChanged(e)
	if changed {
		// Its pods' statuses were overwritten when it was given up, or will have been.
		n.peer.Forget()
	}
	return err
}

// readyChanged reports whether a node that had a Ready condition has another one.
func readyChanged(e change.Event) (bool, error) {
	old, err := resource.As[*corev1.Node](resource.Nodes, e.Old)
	if err != nil {
		return false, err
	}
	updated, err := resource.As[*corev1.Node](resource.Nodes, e.New)
	if err != nil {
		return false, err
	}
	before, now := resource.NodeCondition(old, corev1.NodeReady), resource.NodeCondition(updated, corev1.NodeReady)
	return before != nil && now != nil && before.Status != now.Status, nil
}

// receiveAll gives every message that has arrived to its node's machine.
func (l *Link) receiveAll(now clock.Now) error {
	for _, m := range l.inbox.Drain() {
		if !m.Retained {
			l.line.proofAt = now
		}
		name, channel, ok := l.config.Topics.Parse(m.Topic)
		if !ok {
			if m.Topic == l.probeTopic() && !m.Retained {
				l.receiveProbe(now, m.Payload)
			}
			continue
		}
		l.metrics.received.WithLabelValues(channel).Inc()
		if err := l.receive(now, name, channel, m); err != nil {
			return err
		}
	}
	return nil
}

func (l *Link) receive(now clock.Now, name, channel string, m bus.Message) error {
	envelope, err := seal.Read(m.Payload)
	if err != nil || protocol.CheckLevel(name) != nil {
		l.do(now, name, peer.Refused{Reason: peer.Malformed})
		return nil
	}
	n := l.nodes[name]
	if n == nil {
		if len(l.nodes) >= maxNodes {
			l.do(now, name, peer.Refused{Reason: "too_many_nodes"})
			return nil
		}
		n = &node{}
		l.nodes[name] = n
	}
	in := peer.Input{Channel: channel, Envelope: envelope}
	head := l.book.Head(name)
	switch {
	case channel == protocol.Hello:
		if in.Challenge, err = l.challenge(); err != nil {
			return err
		}
		head = l.head(now, name)
	case !n.peer.Run().IsZero():
		head = l.head(now, name) // the first of a new epoch
	}
	for _, effect := range n.peer.Receive(now, in, l.facts(n, head)) {
		l.do(now, name, effect)
	}
	return nil
}

// do carries out one effect of a node's machine.
func (l *Link) do(now clock.Now, name string, effect peer.Effect) {
	switch e := effect.(type) {
	case peer.Welcome:
		l.request(name, message.Request{Welcome: &e.Message})
	case peer.Ask:
		l.log.Debug().Str("node", name).Stringer("ask", e).Msg("node asked")
		l.request(name, message.Request{Resync: &e.Resync})
	case peer.Publish:
		l.log.Debug().Str("node", name).Str("reason", e.Why).Msg("desired state sent again")
		l.publish[name] = true
	case peer.Announce:
		l.announcement.wanted = true
	case peer.Report:
		l.reports = append(l.reports, report{node: name, status: e.Status, proves: e.Proves})
	case peer.Heard:
		l.seen.heard(now, name, e.Readings)
	case peer.Offline:
		l.log.Info().Str("node", name).Msg("node's connection ended")
		l.seen.offline(now, name)
		l.line.lookAt = now
	case peer.Current:
		l.setCurrent(name)
		l.log.Info().Str("node", name).Stringer("run", e.Run).Msg("node connected")
		if e.Duplicate {
			l.log.Error().Str("node", name).Stringer("run", e.Run).Msg("two agents use this node's identity")
			l.recordEvent(now, name, "DuplicateIdentity", "Two agents take turns with this node's identity. Stop one of them, "+
				"or give it a data directory and a name of its own.")
		}
	case peer.Frame:
		if l.config.Frames != nil {
			l.config.Frames.Deliver(name, e.Data)
		}
	case peer.Outranked:
		l.log.Warn().Str("node", name).Stringer("epoch", e.Epoch).Msg("node has seen a higher epoch and does not obey this master")
	case peer.Refused:
		l.metrics.refused.WithLabelValues(e.Reason).Inc()
		l.log.Debug().Str("node", name).Str("reason", e.Reason).Msg("message refused")
	}
}

func (l *Link) request(name string, m message.Request) {
	if err := l.sender.send(l.config.Topics.Node(name, protocol.Request), m, 1, false); err != nil {
		l.log.Warn().Err(err).Str("node", name).Msg("request not sent")
	}
}
