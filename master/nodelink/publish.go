package nodelink

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink/desired"
	"github.com/skerry-edge/skerry/master/nodelink/peer"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// retryGap is how soon a message that found no room in the bus's queue is tried again.
const retryGap = time.Second / 4

// head is the head of the node's newest document, which is written, not sent, if it is the first of the epoch.
func (l *Link) head(now clock.Now, name string) desired.Head {
	if head := l.book.Head(name); head.Position.Serial != 0 {
		return head
	}
	if _, _, err := l.book.Update(l.config.Store.View(), name, false); err != nil {
		l.reportUnwritten(now, name, err)
	}
	return l.book.Head(name)
}

// publishDesired sends the documents that have changed and those that nodes lack.
func (l *Link) publishDesired(now clock.Now) {
	names := slices.Concat(l.book.Touched(), slices.Collect(maps.Keys(l.publish)))
	slices.Sort(names)
	view, room := l.config.Store.View(), l.line.connected
	for _, name := range slices.Compact(names) {
		k := l.keys[name]
		if k != nil && k.record.Revoked != 0 {
			room = l.takeBack(now, name, room)
			continue
		}
		doc, send, err := l.book.Update(view, name, room && l.publish[name])
		if err != nil {
			delete(l.publish, name)
			l.reportUnwritten(now, name, err)
			continue
		}
		if !send {
			if room {
				delete(l.publish, name) // it failed before, and nothing has changed
			}
			continue
		}
		if k == nil {
			delete(l.publish, name) // whoever joins under this name asks for it
			continue
		}
		l.publish[name] = true
		if !room {
			continue
		}
		if err := l.sendDesired(name, k, doc); err != nil {
			l.log.Warn().Err(err).Str("node", name).Msg("desired state not sent")
			l.retry(now)
			room = false
			continue
		}
		delete(l.publish, name)
		l.metrics.published.Inc()
		if n := l.nodes[name]; n != nil {
			n.sent, n.published = true, now
		}
		l.log.Debug().Str("node", name).Stringer("desired", doc.Position).Msg("desired state sent")
	}
}

// takeBack deletes what the broker retains for a node that was removed: its key may be in wrong hands, and nothing that
// it opens is to lie about. That nothing is retained stops no pod; the agent is told by a message of its own. It
// reports whether there is room for more.
func (l *Link) takeBack(now clock.Now, name string, room bool) bool {
	l.publish[name] = true
	if !room {
		return false
	}
	if err := l.config.Bus.Publish(l.config.Topics.Node(name, protocol.Desired), nil, 1, true); err != nil {
		l.log.Warn().Err(err).Str("node", name).Msg("desired state of a removed node not taken back")
		l.retry(now)
		return false
	}
	delete(l.publish, name)
	return true
}

// sendDesired publishes a document for whichever run of the node comes.
func (l *Link) sendDesired(name string, k *keys, doc message.Desired) error {
	box, err := l.box(name, k, k.record.Key)
	if err != nil {
		return err
	}
	return l.sender.Send(box, seal.Run{}, l.config.Topics.Node(name, protocol.Desired), doc, 1, true)
}

func (l *Link) retry(now clock.Now) { l.retryAt = clock.Earliest(l.retryAt, now.Add(retryGap)) }

// reportUnwritten tells users that a node can't be told what to run. It goes on with what it was told before.
func (l *Link) reportUnwritten(now clock.Now, name string, err error) {
	l.log.Error().Err(err).Str("node", name).Msg("desired state not written")
	if errors.Is(err, message.ErrTooBig) {
		l.recordEvent(now, name, "DesiredStateTooBig", "The pods, ConfigMaps and Secrets of this node don't fit into one message; "+
			"it goes on with what it was told before. Move pods elsewhere or make their ConfigMaps and Secrets smaller.")
	}
}

// recordEvent records a warning about a node, if the node has an object.
func (l *Link) recordEvent(now clock.Now, name, reason, text string) {
	view := l.config.Store.View()
	rec, ok := view.Get(resource.Nodes.Key("", name))
	if !ok {
		return
	}
	meta, err := resource.Meta(rec.Value)
	if err != nil {
		return // whoever reads the node itself says so
	}
	l.record(now, resource.Occurrence{
		About:     resource.Nodes.Reference("", name, meta.UID),
		Type:      corev1.EventTypeWarning,
		Reason:    reason,
		Message:   text,
		Component: component,
	})
}

// component is the name in Events.
const component = "skerry-nodelink"

func (l *Link) record(now clock.Now, o resource.Occurrence) {
	write, err := resource.RecordEvent(l.config.Store.View(), o, now.Wall)
	if err == nil {
		_, err = l.config.Store.Commit(context.Background(), []change.Change{write})
	}
	if err != nil {
		l.log.Error().Err(err).Str("about", o.About.Name).Str("reason", o.Reason).Msg("event not recorded")
	}
}

// tellLine tells users why no node is given up, or that they may be again. It is about the namespace of the control
// plane: the master has no object, and it would be one Event a node.
func (l *Link) tellLine(now clock.Now, up bool) {
	view := l.config.Store.View()
	rec, ok := view.Get(resource.Namespaces.Key("", metav1.NamespaceSystem))
	if !ok {
		return
	}
	meta, err := resource.Meta(rec.Value)
	if err != nil {
		return
	}
	o := resource.Occurrence{
		About: resource.Namespaces.Reference("", meta.Name, meta.UID), Type: corev1.EventTypeWarning, Reason: "BrokerLost",
		Message:   "The master hears nothing through its broker: until it does no node is given up and nothing is evicted.",
		Component: component,
	}
	if up {
		o.Type, o.Reason = corev1.EventTypeNormal, "BrokerReturned"
		o.Message = "The master hears its nodes again; those that were silent have some time left to come back."
	}
	l.record(now, o)
}

// facts are what a node's machine needs to know.
func (l *Link) facts(n *node, k *keys, head desired.Head) peer.Facts {
	return peer.Facts{
		Epoch:     l.epoch,
		Settings:  l.paces.settings(k.name),
		Desired:   head.Position,
		Digest:    head.Digest,
		Sent:      n.sent,
		Published: n.published,
		Revoked:   k.record.Revoked,
		Rotate:    k.rotates(l.rotate[k.name]),
	}
}
