package resource

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skerry-edge/skerry/master/change"
)

// Leases is coordination.k8s.io/v1 Lease: one a node, in the namespace kube-node-lease, rendered from what was
// last heard of the node. Nobody writes them.
var Leases = &Resource{
	Kind:       "leases.coordination.k8s.io",
	GVK:        coordinationv1.SchemeGroupVersion.WithKind("Lease"),
	Singular:   "lease",
	Namespaced: true,
	Volatile:   true,
	ReadOnly:   true,
	New:        func() Object { return &coordinationv1.Lease{} },
	NewList:    func() runtime.Object { return &coordinationv1.LeaseList{} },

	Columns: []metav1.TableColumnDefinition{
		nameColumn,
		column("Holder", "string", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]),
		ageColumn,
	},
	Row: row(func(l *coordinationv1.Lease, now time.Time) []any {
		var holder string
		if l.Spec.HolderIdentity != nil {
			holder = *l.Spec.HolderIdentity
		}
		return []any{l.Name, holder, age(l.CreationTimestamp, now)}
	}),

	RenderedFrom: SeenKind,
	Render:       renderLease,
}

// renderLease makes a node's lease; nil for the record of the master's own connection.
func renderLease(rec change.Record) Object {
	seen, err := DecodeSeen(rec.Value)
	if err != nil || rec.Key.Name == LinkName {
		return nil
	}
	node := rec.Key.Name
	renewed := metav1.NewMicroTime(seen.Heard().Wall)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name:            node,
			Namespace:       corev1.NamespaceNodeLease,
			UID:             DeriveUID("lease " + node),
			ResourceVersion: rec.Rev.String(),
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &node, RenewTime: &renewed},
	}
	lease.SetGroupVersionKind(coordinationv1.SchemeGroupVersion.WithKind("Lease"))
	return lease
}
