package serviceaccount

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Controller is the Planner; see the package's comment.
type Controller struct {
	lacking map[string]bool // namespaces to look at
}

// New returns a Controller that knows nothing until Reset.
func New() *Controller { return &Controller{lacking: map[string]bool{}} }

// Name is the planner's name.
func (c *Controller) Name() string { return "serviceaccount" }

// Kinds are namespaces and service accounts.
func (c *Controller) Kinds() []change.Kind {
	return []change.Kind{resource.Namespaces.Kind, resource.ServiceAccounts.Kind}
}

// Reset looks at every namespace.
func (c *Controller) Reset(view change.View) {
	clear(c.lacking)
	for rec := range view.List(resource.Namespaces.Kind, "") {
		c.lacking[rec.Key.Name] = true
	}
}

// Observe notes the namespaces that may lack their account.
func (c *Controller) Observe(e change.Event) {
	switch {
	case e.Key.Kind == resource.Namespaces.Kind && e.New.Exists():
		c.lacking[e.Key.Name] = true
	case e.Key.Kind == resource.ServiceAccounts.Kind && !e.New.Exists() && e.Key.Name == resource.DefaultServiceAccount:
		c.lacking[e.Key.Namespace] = true
	}
}

// Plan makes the accounts that are missing.
func (c *Controller) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	var groups [][]change.Change
	for _, name := range slices.Sorted(maps.Keys(c.lacking)) {
		home, exists := view.Get(resource.Namespaces.Key("", name))
		_, has := view.Get(resource.ServiceAccounts.Key(name, resource.DefaultServiceAccount))
		namespace, err := resource.Meta(home.Value)
		if !exists || has || err != nil || namespace.DeletionTimestamp != nil {
			delete(c.lacking, name)
			continue
		}
		g := resource.NewGroup(view, now.Wall)
		g.Put(resource.ServiceAccounts, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Namespace: name, Name: resource.DefaultServiceAccount,
			UID:               resource.DeriveUID("serviceaccount " + string(namespace.UID) + " " + view.Rev().String()),
			CreationTimestamp: metav1.NewTime(now.Wall.Truncate(time.Second)),
		}}, 0, "its namespace has none")
		g.Hold(home) // not into a namespace that is being deleted
		groups = append(groups, g.Changes())
	}
	return groups, clock.Never
}
