package nodekey_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/controller/nodekey"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

// world has a node n1, whose object has the uid u1, and its key.
func world(t *testing.T, key resource.NodeKey) *plantest.World {
	w := plantest.New(t, nodekey.New())
	n := plantest.Node("n1")
	n.UID = "u1"
	w.Put(n)
	put(w, key)
	return w
}

func put(w *plantest.World, key resource.NodeKey) {
	w.Commit(change.Change{
		Key: change.Key{Kind: resource.NodeKeyKind, Name: "n1"}, Base: change.Any, Value: resource.EncodeNodeKey(key), Reason: "test",
	})
}

func stored(t *testing.T, w *plantest.World) resource.NodeKey {
	t.Helper()
	rec, _ := w.Store.View().Get(change.Key{Kind: resource.NodeKeyKind, Name: "n1"})
	key, err := resource.DecodeNodeKey(rec.Value)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A key is revoked when the object that it belongs to is gone, or is another one; otherwise nothing happens to it.
func TestRevoking(t *testing.T) {
	for name, c := range map[string]struct {
		key     resource.NodeKey
		then    func(*plantest.World)
		revoked bool
	}{
		"nothing happens": {resource.NodeKey{Node: "u1"}, func(*plantest.World) {}, false},
		"its status changes": {resource.NodeKey{Node: "u1"}, func(w *plantest.World) {
			plantest.Update(w, resource.Nodes, "", "n1", func(n *corev1.Node) { n.Spec.Unschedulable = true })
		}, false},
		"the node is deleted":   {resource.NodeKey{Node: "u1"}, func(w *plantest.World) { w.Delete(resource.Nodes, "", "n1") }, true},
		"while its key changes": {resource.NodeKey{Node: "u1", Next: [32]byte{1}}, func(w *plantest.World) { w.Delete(resource.Nodes, "", "n1") }, true},
		"another one is made": {resource.NodeKey{Node: "u1"}, func(w *plantest.World) {
			w.Delete(resource.Nodes, "", "n1")
			n := plantest.Node("n1")
			n.UID = types.UID("u2")
			w.Put(n)
		}, true},
		"it was deleted while nobody looked": {resource.NodeKey{Node: "u0"}, func(*plantest.World) {}, true},
		"it has not reported yet":            {resource.NodeKey{}, func(w *plantest.World) { w.Delete(resource.Nodes, "", "n1") }, false},
		"it was removed before":              {resource.NodeKey{Node: "u1", Revoked: 7}, func(w *plantest.World) { w.Delete(resource.Nodes, "", "n1") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, c.key)
			c.then(w)
			var want []string
			if c.revoked {
				want = []string{"update nodekeys.skerry.dev n1: its Node was deleted"}
			}
			if diff := cmp.Diff(want, w.Settle()); diff != "" {
				t.Error(diff)
			}
			key := stored(t, w)
			if c.revoked != (key.Revoked != c.key.Revoked) || c.revoked && key.Next != c.key.Next {
				t.Errorf("the key is %+v", key)
			}
			if again := w.Settle(); len(again) > 0 {
				t.Errorf("planning again: %v", again)
			}
		})
	}
}

// Who joins again under the name is not revoked for what its predecessor lost.
func TestJoiningAgain(t *testing.T) {
	w := world(t, resource.NodeKey{Node: "u1"})
	w.Delete(resource.Nodes, "", "n1")
	w.Settle()
	put(w, resource.NodeKey{Key: [32]byte{2}})
	if got := w.Settle(); len(got) > 0 {
		t.Errorf("planned: %v", got)
	}
}
