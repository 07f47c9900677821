package nodelink

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink/desired"
	"github.com/skerry-edge/skerry/master/nodelink/peer"
	"github.com/skerry-edge/skerry/master/nodelink/permit"
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
	if err := l.start(now); err != nil {
		return clock.Now{}, err
	}
	if l.config.Brokers != nil {
		l.book.SetBrokers(l.config.Brokers())
	}
	if err := l.followStore(); err != nil {
		return clock.Now{}, err
	}
	if err := l.receiveAll(now); err != nil {
		return clock.Now{}, err
	}
	l.writeReports(now)
	if err := l.advance(now); err != nil {
		return clock.Now{}, err
	}
	if err := l.followStore(); err != nil { // what the reports changed
		return clock.Now{}, err
	}
	freeAt, err := l.grantPermits(now)
	if err != nil {
		return clock.Now{}, err
	}
	l.followLine(now)
	l.announce(now)
	l.publishDesired(now)
	l.writeSeen(now)
	l.showStates()

	next = clock.Earliest(l.retryAt, freeAt, l.seen.due(), l.lineNext())
	if l.line.connected {
		next = clock.Earliest(next, l.announceAt())
	}
	return next, nil
}

// start subscribes and begins to follow the store, once; and begins anew when the store has begun an epoch.
func (l *Link) start(now clock.Now) error {
	if !l.started {
		l.permits = permit.NewBook(permit.Config{
			Since: now, Longest: l.longestPermit(), First: l.config.Store.Epoch() == change.Epoch{Start: 1}, Elsewhere: l.elsewhere(),
		})
		if err := l.openSelf(); err != nil {
			return err
		}
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
		if l.book != nil {
			l.permits.Doubt(now) // nodes have seen more than the store has, it may be
		}
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
	for _, kind := range append([]change.Kind{resource.NodeKeyKind, resource.SlotKind}, desired.Kinds...) {
		cursor, err := l.config.Store.Watch(kind, view.Rev(), l.awake)
		if err != nil {
			return fmt.Errorf("watch %s: %w", kind, err)
		}
		l.cursors = append(l.cursors, cursor)
	}
	if err := l.book.Reset(view); err != nil {
		return fmt.Errorf("read what nodes shall run: %w", err)
	}
	l.permits.Reset(view)
	l.readKeys(view)
	clear(l.rotate)
	clear(l.paces.metered)
	for rec := range view.List(resource.Nodes.Kind, "") {
		l.observeRotation(rec.Key.Name, rec)
		l.observePace(rec.Key.Name, rec)
	}
	l.countNodes(view)
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
	switch e.Key.Kind {
	case resource.NodeKeyKind:
		l.observeKey(e.Key.Name, e.New)
		return nil
	case resource.SlotKind:
		l.permits.Observe(e)
		return nil
	case resource.Pods.Kind:
		l.permits.Observe(e)
	}
	if err := l.book.Observe(e); err != nil {
		return err
	}
	if e.Key.Kind != resource.Nodes.Kind {
		return nil
	}
	l.observeRotation(e.Key.Name, e.New)
	l.observePace(e.Key.Name, e.New)
	l.countNode(e.Key.Name, e.New)
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

// mostBytes bounds what is opened, on the channels whose messages are small; on the others the bus does.
var mostBytes = map[string]int{protocol.Hello: 1 << 10, protocol.Beat: 1 << 8, protocol.Presence: 1 << 8}

// receive opens a message with the node's key and gives it to the node's machine. A run that the machine doesn't know
// can't have sealed anything for this one but a hello or a presence mark: the rest of it is not opened.
func (l *Link) receive(now clock.Now, name, channel string, m bus.Message) error {
	k := l.keys[name]
	if k == nil {
		l.refuse(name, peer.NoKey)
		return nil
	}
	envelope, err := seal.Parse(m.Payload)
	if most, bounded := mostBytes[channel]; err != nil || bounded && len(m.Payload) > most {
		l.refuse(name, peer.Malformed)
		return nil
	}
	n := l.node(name)
	if k.record.Revoked != 0 && channel != protocol.Hello {
		l.unopened(now, name, k, n, envelope.Sender, peer.KeyRevoked)
		return nil
	}
	early := channel == protocol.Hello || channel == protocol.Presence
	if !early && !n.peer.Knows(envelope.Sender) {
		l.unopened(now, name, k, n, envelope.Sender, peer.UnknownRun)
		return nil
	}
	opened, from, err := l.open(name, k, early, m)
	if err != nil {
		if early {
			l.refuse(name, peer.Unreadable)
		} else {
			l.unopened(now, name, k, n, envelope.Sender, peer.Unreadable)
		}
		return nil
	}
	in := peer.Input{Channel: channel, Envelope: opened, Next: from.key == k.record.Next}
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
	for _, effect := range n.peer.Receive(now, in, l.facts(n, k, head)) {
		l.do(now, name, from, effect)
	}
	return nil
}

// unopened has the node's machine decide whether to ask the run that a header names who it is, or to tell it that it was
// removed. A node that changes its key may use either.
func (l *Link) unopened(now clock.Now, name string, k *keys, n *node, run seal.Run, reason string) {
	effects := n.peer.Unopened(now, run, reason, l.facts(n, k, l.book.Head(name)))
	for _, effect := range effects {
		if _, refused := effect.(peer.Refused); refused {
			l.do(now, name, target{}, effect)
			continue
		}
		for _, key := range k.good() {
			if box, err := l.box(name, k, key); err == nil {
				l.do(now, name, target{run: run, key: key, box: box}, effect)
			}
		}
	}
}

// node is a node's conversation, which has begun now if there was none. Only what has a key has one.
func (l *Link) node(name string) *node {
	n := l.nodes[name]
	if n == nil {
		n = &node{}
		l.nodes[name] = n
	}
	return n
}

func (l *Link) refuse(name, reason string) {
	l.metrics.refused.WithLabelValues(reason).Inc()
	l.log.Debug().Str("node", name).Str("reason", reason).Msg("message refused")
}

// do carries out one effect of a node's machine; from is who sent the message that it follows from.
func (l *Link) do(now clock.Now, name string, from target, effect peer.Effect) {
	switch e := effect.(type) {
	case peer.Welcome:
		l.request(name, from, message.Request{Welcome: &e.Message})
	case peer.Ask:
		l.log.Debug().Str("node", name).Stringer("ask", e).Msg("node asked")
		l.request(name, from, message.Request{Resync: &e.Resync})
	case peer.Rotate:
		l.request(name, from, message.Request{Rotate: &message.Rotate{}})
	case peer.KeepKey:
		l.keepNext(name, from, e.Key)
	case peer.Revoke:
		l.request(name, from, message.Request{Revoked: &e.Message})
	case peer.Publish:
		l.log.Debug().Str("node", name).Str("reason", e.Why).Msg("desired state sent again")
		l.publish[name] = true
	case peer.Announce:
		l.announcement.wanted = true
	case peer.Report:
		l.noteRunning(now, name, e.Status)
		l.reports = append(l.reports, report{node: name, key: from.key, boot: l.nodes[name].peer.Boot(), status: e.Status})
	case peer.Heard:
		l.line.proofAt = now
		if l.permits.Curious(name) {
			l.curious[name] = true
		}
		if l.book.Unmetered(name, e.Applied) {
			l.paces.known(name)
		}
		l.seen.heard(now, name, l.paces.slow[name], e.Readings)
	case peer.Asked:
		l.asking[name] = e.Ask // grantPermits answers
	case peer.Released:
		l.released(name, e.Pods)
	case peer.Offline:
		l.log.Info().Str("node", name).Msg("node's connection ended")
		l.seen.offline(now, name)
		l.line.lookAt = now
	case peer.Current:
		l.setConversation(name, from)
		l.obeys(now, name)
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
		l.outranked(now, name, e.Epoch)
	case peer.Refused:
		l.refuse(name, e.Reason)
	}
}

func (l *Link) request(name string, to target, m message.Request) {
	err := l.sender.Send(to.box, to.run, l.config.Topics.Node(name, protocol.Request), m, 1, false)
	if err != nil {
		l.log.Warn().Err(err).Str("node", name).Msg("request not sent")
	}
}
