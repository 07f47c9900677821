package authn

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// farewell is how long after its deletion an object that is still there stands for a token, as in Kubernetes: a pod
// that ends may say so.
const farewell = time.Minute

// stands says why a token is worth nothing any more: what it rests on was deleted, also if something of the same name
// came after it.
func (c Claim) stands(view change.View, now time.Time) error {
	for _, on := range []struct {
		what string
		kind *resource.Resource
		ref  *Ref
	}{
		{"service account", resource.ServiceAccounts, &c.Account},
		{"pod", resource.Pods, c.Pod},
		{"secret", resource.Secrets, c.Secret},
		{"node", resource.Nodes, c.Node},
	} {
		if on.ref == nil {
			continue
		}
		namespace := c.Namespace
		if !on.kind.Namespaced {
			namespace = ""
		}
		gone := Refusal{fmt.Sprintf("the %s %s that the token rests on was deleted", on.what, on.ref.Name)}
		rec, ok := view.Get(on.kind.Key(namespace, on.ref.Name))
		if !ok {
			return gone
		}
		object, err := on.kind.Decode(rec)
		if err != nil {
			return err
		}
		deleted := object.GetDeletionTimestamp()
		if string(object.GetUID()) != on.ref.UID || deleted != nil && now.After(deleted.Add(farewell)) {
			return gone
		}
	}
	return nil
}

// RefTo names an object for a Claim.
func RefTo(o metav1.Object) Ref { return Ref{Name: o.GetName(), UID: string(o.GetUID())} }
