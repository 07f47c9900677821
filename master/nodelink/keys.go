package nodelink

import (
	"context"
	"fmt"
	"slices"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// RotateAnnotation of a Node asks its agent for a new key: whenever the value changes.
const RotateAnnotation = "skerry.dev/rotate-key"

// selfName is the node's name in the box that a master has with itself. It is no valid one.
const selfName = "@master"

// keys are those of one node, as the store has them.
type keys struct {
	name   string
	record resource.NodeKey
	rev    change.Rev
	boxes  map[[32]byte]*seal.Box // by the node's key; made when they are first needed
}

// target is a run of an agent, and the box that it can open, which is of one of the node's keys.
type target struct {
	run seal.Run
	key [32]byte
	box *seal.Box
}

// good are the keys that the node may use.
func (k *keys) good() [][32]byte {
	if k.record.Next == [32]byte{} {
		return [][32]byte{k.record.Key}
	}
	return [][32]byte{k.record.Key, k.record.Next}
}

// box is the node's box for one of its keys.
func (l *Link) box(name string, k *keys, key [32]byte) (*seal.Box, error) {
	if box := k.boxes[key]; box != nil {
		return box, nil
	}
	box, err := seal.NewBox(seal.Master, l.config.Key, key, l.config.Cluster, name)
	if err != nil {
		return nil, fmt.Errorf("the key of %s: %w", name, err)
	}
	k.boxes[key] = box
	return box, nil
}

// openSelf makes the two ends of the box for what this master sends to itself.
func (l *Link) openSelf() (err error) {
	public := [32]byte(l.config.Key.PublicKey().Bytes())
	if l.self, err = seal.NewBox(seal.Master, l.config.Key, public, l.config.Cluster, selfName); err != nil {
		return err
	}
	l.selfEnd, err = seal.NewBox(seal.Node, l.config.Key, public, l.config.Cluster, selfName)
	return err
}

// open opens a message with the node's key, or with the one that it is changing to, and says who sent it.
func (l *Link) open(name string, k *keys, early bool, m bus.Message) (e seal.Envelope, from target, err error) {
	to := l.config.Run
	if early {
		to = seal.Run{} // it is for whichever master comes
	}
	for _, key := range k.good() {
		var box *seal.Box
		if box, err = l.box(name, k, key); err != nil {
			continue
		}
		if e, err = box.Open(m.Topic, to, m.Payload); err == nil {
			return e, target{run: e.Sender, key: key, box: box}, nil
		}
	}
	return seal.Envelope{}, target{}, err
}

// readKeys takes over all keys of the store.
func (l *Link) readKeys(view change.View) {
	before := l.keys
	l.keys = map[string]*keys{}
	for rec := range view.List(resource.NodeKeyKind, "") {
		l.keys[rec.Key.Name] = before[rec.Key.Name] // with its boxes
		l.observeKey(rec.Key.Name, rec)
	}
	for name := range before {
		if l.keys[name] == nil {
			l.dropNode(name)
		}
	}
}

// observeKey takes over a node's keys as they were written.
func (l *Link) observeKey(name string, rec change.Record) {
	if !rec.Exists() {
		delete(l.keys, name)
		l.dropNode(name)
		return
	}
	record, err := resource.DecodeNodeKey(rec.Value)
	if err != nil {
		l.log.Error().Err(err).Str("node", name).Msg("key not understood; the node is not heard")
		delete(l.keys, name)
		l.dropNode(name)
		return
	}
	old := l.keys[name]
	k := &keys{name: name, record: record, rev: rec.Rev, boxes: map[[32]byte]*seal.Box{}}
	l.keys[name] = k
	if old != nil {
		for _, key := range k.good() {
			if box := old.boxes[key]; box != nil {
				k.boxes[key] = box
			}
		}
		if old.record.Key != record.Key {
			l.publish[name] = true // what is retained was sealed for the key before
		}
	}
	if record.Revoked != 0 && (old == nil || old.record.Revoked == 0) {
		l.publish[name] = true // which takes back what is retained
	}
	n := l.nodes[name]
	switch {
	case n == nil:
	case record.Revoked != 0:
		if !n.peer.Run().IsZero() {
			l.request(name, n.current, message.Request{Revoked: &message.Revoked{Time: record.Revoked}})
		}
		l.log.Info().Str("node", name).Msg("node removed from the cluster")
		l.dropNode(name)
	case n.peer.Run().IsZero():
		// Nothing is proven yet. The challenge that waits for its echo stays: keys are read again when the store is, and the
		// node that has been welcomed would echo it in vain.
	case !slices.Contains(k.good(), n.current.key):
		l.dropNode(name) // another device has the name now, or the old key is no longer good
	}
}

// setConversation notes that a run has proven itself. Its key is in force from then on.
func (l *Link) setConversation(name string, with target) {
	if l.nodes[name].current.run != with.run {
		delete(l.asking, name)
		l.permits.Forget(name)
	}
	l.nodes[name].current = with
	l.setCurrent(name, with)
	if k := l.keys[name]; with.key == k.record.Next {
		l.useKey(name, k)
	}
}

// dropNode forgets a node's conversation.
func (l *Link) dropNode(name string) {
	delete(l.nodes, name)
	delete(l.asking, name)
	l.permits.Forget(name)
	l.setCurrent(name, target{})
}

// useKey makes the key that a proven run uses the node's only one.
func (l *Link) useKey(name string, k *keys) {
	next := k.record
	next.Key, next.Next, next.Rotated = k.record.Next, [32]byte{}, l.rotate[name]
	if l.writeKey(name, k, next, "the node uses its new key") {
		l.log.Info().Str("node", name).Msg("node has a new key")
	}
}

// keepNext stores the key that a node offers, and tells the node.
func (l *Link) keepNext(name string, from target, key [32]byte) {
	k := l.keys[name]
	if key != k.record.Key && key != k.record.Next {
		if _, err := l.box(name, k, key); err != nil {
			l.log.Warn().Err(err).Str("node", name).Msg("next key refused")
			return
		}
		next := k.record
		next.Next = key
		if !l.writeKey(name, k, next, "the node has made a new key") {
			return // the node offers it again
		}
	}
	l.request(name, from, message.Request{KeyKept: &message.NewKey{Key: key}})
}

func (l *Link) writeKey(name string, k *keys, record resource.NodeKey, reason string) bool {
	_, err := l.config.Store.Commit(context.Background(), []change.Change{{
		Key: change.Key{Kind: resource.NodeKeyKind, Name: name}, Base: k.rev, Value: resource.EncodeNodeKey(record), Reason: reason,
	}})
	if err != nil {
		l.log.Error().Err(err).Str("node", name).Msg("key not stored")
		return false
	}
	if err := l.followStore(); err != nil {
		l.log.Error().Err(err).Msg("the store can't be followed") // the next Step says so, too
	}
	return true
}

// rotates reports whether the node is to make another key, or has not gone over to the one that it has made.
func (k *keys) rotates(asked string) bool {
	return k.record.Next != [32]byte{} || asked != "" && asked != k.record.Rotated
}

// observeRotation notes what a Node's annotation asks for.
func (l *Link) observeRotation(name string, rec change.Record) {
	delete(l.rotate, name)
	if !rec.Exists() {
		return
	}
	if meta, err := resource.Meta(rec.Value); err == nil && meta.Annotations[RotateAnnotation] != "" {
		l.rotate[name] = meta.Annotations[RotateAnnotation]
	}
}
