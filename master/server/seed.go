package server

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// seeded are the namespaces that every cluster has. Those marked true allow privileged pods, which an administrator
// may take back.
var seeded = []struct {
	name       string
	privileged bool
}{{"default", true}, {"kube-system", true}, {"kube-public", false}, {"kube-node-lease", false}}

// seed makes what is missing of the usual namespaces.
func seed(ctx context.Context, s store.Store, now clock.Now) error {
	for _, n := range seeded {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n.name, UID: resource.DeriveUID("namespace " + n.name + s.Epoch().String()), CreationTimestamp: metav1.Unix(now.Wall.Unix(), 0)}}
		if n.privileged {
			namespace.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}
		}
		resource.Namespaces.Default(namespace)
		if prepare := resource.Namespaces.PrepareCreate; prepare != nil {
			prepare(namespace)
		}
		value, err := resource.Encode(namespace)
		if err != nil {
			return err
		}
		_, err = s.Commit(ctx, []change.Change{{Key: resource.Namespaces.Key("", n.name), Value: value, Reason: "every cluster has it"}})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("make the namespace %s: %w", n.name, err)
		}
	}
	return nil
}
