package resource

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/store"
)

// All lists every kind that is served, in the order of discovery.
var All = []*Resource{
	Namespaces, Nodes, Pods, ConfigMaps, Secrets, Services, Events,
	ServiceAccounts,
	ReplicaSets, Deployments,
	Leases,
	Roles, ClusterRoles, RoleBindings, ClusterRoleBindings,
	EventsV1,
	NodeMetrics,
}

// Measured lists the kinds that nodes are asked for. The store holds nothing of them, so they are not among All.
var Measured = []*Resource{PodMetrics}

// Reviews lists the kinds that are questions. The store holds nothing of them, so they are not among All.
var Reviews = []*Resource{
	TokenReviews, SubjectAccessReviews, LocalSubjectAccessReviews, SelfSubjectReviews, SelfSubjectAccessReviews, SelfSubjectRulesReviews,
}

// ByKind is the resource that is stored under a kind, or nil.
func ByKind(kind change.Kind) *Resource {
	for _, r := range All {
		if r.Kind == kind && r.FromStored == nil {
			return r
		}
	}
	return nil
}

// ByGVR is the resource served at a path, or nil.
func ByGVR(gvr schema.GroupVersionResource) *Resource {
	for _, r := range All {
		if r.GVR() == gvr {
			return r
		}
	}
	return nil
}

// ByGVK is the resource of objects that say they are of this kind, or nil.
func ByGVK(gvk schema.GroupVersionKind) *Resource {
	for _, r := range All {
		if r.GVK == gvk {
			return r
		}
	}
	return nil
}

// As is Decode for a caller that knows the type: As[*corev1.Pod](Pods, rec).
func As[T Object](r *Resource, rec change.Record) (T, error) {
	var none T
	o, err := r.Decode(rec)
	if err != nil {
		return none, err
	}
	typed, ok := o.(T)
	if !ok {
		return none, fmt.Errorf("decode %s: it is a %T, not a %T", rec.Key, o, none)
	}
	return typed, nil
}

// Schema is what the store needs to know of the kinds: their indexes and which of them are volatile.
func Schema() store.Schema {
	s := store.Schema{
		Indexes:  map[change.Kind][]store.Index{},
		Volatile: map[change.Kind]bool{SeenKind: true},
	}
	for _, r := range All {
		if r.FromStored != nil {
			continue
		}
		if r.Volatile {
			s.Volatile[r.Kind] = true
		}
		for _, name := range r.Indexed {
			s.Indexes[r.Kind] = append(s.Indexes[r.Kind], store.Index{Name: name, Of: r.index(name)})
		}
	}
	return s
}

// Sealed are the kinds that the store encrypts in its files: what is secret, and what says who may talk to the cluster.
func Sealed() map[change.Kind]bool {
	return map[change.Kind]bool{Secrets.Kind: true, NodeKeyKind: true, JoinTokenKind: true}
}

// index computes a named index from an encoded object. What does not decode is in no index: Decode tells.
func (r *Resource) index(name string) func([]byte) string {
	t := reflect.TypeOf(r.New()).Elem()
	if name == OwnerIndex {
		return wireController(t)
	}
	path := wirePath(t, name)
	return func(value []byte) string { return wireText(value, path) }
}
