package sim

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/nodelink"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

// processKeys are a node's keys as one process of the agent sees them: it may crash at each write.
type processKeys struct {
	*sealtest.Node
	a *agent
}

// Next implements masterlink.Keys.
func (k processKeys) Next() (key [32]byte, err error) {
	err = k.a.touch("keep the next key", func() error {
		key, err = k.Node.Next()
		return err
	})
	return key, err
}

// Use implements masterlink.Keys.
func (k processKeys) Use(next [32]byte) (box *seal.Box, err error) {
	err = k.a.touch("use the next key", func() error {
		box, err = k.Node.Use(next)
		return err
	})
	return box, err
}

// Revoked implements masterlink.Keys. Whoever looks after the node lets it join again some time later.
func (k processKeys) Revoked(at int64) error {
	return k.a.touch("keep that the node was removed", func() error {
		n := k.a.node
		n.w.log(n.who(), "REMOVED from the cluster")
		n.w.after(n.w.between(time.Second, 40*time.Second), func() { n.rejoin(k.Node) })
		return k.Node.Revoked(at)
	})
}

// rejoin gives the node another identity of the same name, unless it has one already, and starts its agent with it.
func (n *node) rejoin(removed *sealtest.Node) {
	if n.keys != removed || n.gone || n.original != nil {
		return
	}
	n.w.after(time.Second, func() { n.rejoin(removed) }) // should this fail
	if n.w.master.down() || n.agent == nil {
		return
	}
	next := n.w.cluster.AnotherNode(n.name, fmt.Sprintf("%s again, after %d keys", n.name, len(n.before)+n.keys.Made))
	if err := n.joinAs(&client{master: n.w.master, who: "enroll"}, next); err != nil {
		return
	}
	n.w.log(n.name, "JOINS again")
	n.before = append(n.before, n.keys.Ever()...)
	n.keys = next
	n.crash(100 * time.Millisecond)
}

// checkTakenBack: what is retained for a node is deleted only when it was removed.
func (w *World) checkTakenBack(name string) {
	rec, _ := w.master.store.View().Get(change.Key{Kind: resource.NodeKeyKind, Name: name})
	if key, err := resource.DecodeNodeKey(rec.Value); err != nil || key.Revoked == 0 {
		w.fail("the desired state of %s is taken back, and it was not removed", name)
	}
}

// Remove deletes a Node. Bare pods that are bound to it go with it.
func (u *user) Remove(node string) {
	rec, ok := u.w.master.store.View().Get(resource.Nodes.Key("", node))
	if !ok {
		return
	}
	for rec := range u.w.master.store.View().Indexed(resource.Pods.Kind, "spec.nodeName", node) {
		name := rec.Key.Name
		if u.bare[name] {
			delete(u.bare, name)
			u.ordered = slices.DeleteFunc(u.ordered, func(s string) bool { return s == name })
		}
	}
	g := resource.NewGroup(u.w.master.store.View(), u.w.master.machine.now().Wall)
	g.DeleteNow(resource.Nodes, u.w.nodeObject(rec), rec.Rev, "asked for")
	u.commit(g)
}

// Rotate asks for another key of a node.
func (u *user) Rotate(node string) {
	u.rotations++
	value := fmt.Sprint(u.rotations)
	edit(u, resource.Nodes, "", node, func(n *corev1.Node) {
		metav1.SetMetaDataAnnotation(&n.ObjectMeta, nodelink.RotateAnnotation, value)
	})
}

// amissOfKeys says where master and agent don't have the same key, or not the one that was asked for.
func (n *node) amissOfKeys(object *corev1.Node) (out []string) {
	say := func(format string, args ...any) { out = append(out, n.name+": "+fmt.Sprintf(format, args...)) }
	rec, ok := n.w.master.store.View().Get(change.Key{Kind: resource.NodeKeyKind, Name: n.name})
	if !ok {
		say("it has no key")
		return out
	}
	key, err := resource.DecodeNodeKey(rec.Value)
	if err != nil {
		n.w.fail("decode a key: %w", err)
		return out
	}
	if key.Key != n.keys.Public() {
		say("the master has another key than the node")
	}
	if key.Next != [32]byte{} {
		say("its next key is not in force")
	}
	if asked := object.Annotations[nodelink.RotateAnnotation]; asked != key.Rotated {
		say("its key was asked to change by %q and changed by %q", asked, key.Rotated)
	}
	if key.Node != object.UID {
		say("its key belongs to Node %q, which is %q", key.Node, object.UID)
	}
	return out
}

// openDesired opens a document as the node can, or could, or will be able to.
func (n *node) openDesired(topic string, raw []byte) (e seal.Envelope, err error) {
	for _, box := range slices.Concat(n.keys.Ever(), n.before, n.w.copiesOf(n)) {
		if e, err = box.Open(topic, seal.Run{}, raw); err == nil {
			return e, nil
		}
	}
	return e, err
}
