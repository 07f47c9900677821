package nodekey

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Controller is the Planner; see the package's comment.
type Controller struct {
	nodes map[string]types.UID
	keys  map[string]types.UID // of the keys that are good and belong to an object
}

// New returns a Controller that knows nothing until Reset.
func New() *Controller {
	return &Controller{nodes: map[string]types.UID{}, keys: map[string]types.UID{}}
}

// Name is the planner's name.
func (c *Controller) Name() string { return "nodekey" }

// Kinds are nodes and their keys.
func (c *Controller) Kinds() []change.Kind {
	return []change.Kind{resource.Nodes.Kind, resource.NodeKeyKind}
}

// Reset rebuilds the projection.
func (c *Controller) Reset(view change.View) {
	clear(c.nodes)
	clear(c.keys)
	for _, kind := range c.Kinds() {
		for rec := range view.List(kind, "") {
			c.Observe(change.Event{Rev: rec.Rev, Key: rec.Key, New: rec})
		}
	}
}

// Observe follows one write.
func (c *Controller) Observe(e change.Event) {
	name := e.Key.Name
	if e.Key.Kind == resource.Nodes.Kind {
		delete(c.nodes, name)
		if e.New.Exists() {
			meta, err := resource.Meta(e.New.Value)
			if err != nil {
				delete(c.keys, name) // nothing is revoked over what can't be read
				return
			}
			c.nodes[name] = meta.UID
		}
		return
	}
	delete(c.keys, name)
	if key, err := resource.DecodeNodeKey(e.New.Value); e.New.Exists() && err == nil && key.Node != "" && key.Revoked == 0 {
		c.keys[name] = key.Node
	}
}

// has reports whether the Node with this uid exists, or may: the projection may lag behind within a commit.
func has(view change.View, name string, uid types.UID) bool {
	rec, ok := view.Get(resource.Nodes.Key("", name))
	if !ok {
		return false
	}
	meta, err := resource.Meta(rec.Value)
	return err != nil || meta.UID == uid
}

// Plan revokes the keys whose object is gone.
func (c *Controller) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	var groups [][]change.Change
	for _, name := range slices.Sorted(maps.Keys(c.keys)) {
		if c.nodes[name] == c.keys[name] {
			continue
		}
		rec, ok := view.Get(change.Key{Kind: resource.NodeKeyKind, Name: name})
		if !ok || has(view, name, c.keys[name]) {
			continue
		}
		key, err := resource.DecodeNodeKey(rec.Value)
		if err != nil || key.Node != c.keys[name] || key.Revoked != 0 {
			continue
		}
		key.Revoked = max(now.Wall.Unix(), 1) // both keys: the node may use either when it is told
		groups = append(groups, []change.Change{{
			Key: rec.Key, Base: rec.Rev, Value: resource.EncodeNodeKey(key), Reason: "its Node was deleted",
		}})
	}
	return groups, clock.Never
}
