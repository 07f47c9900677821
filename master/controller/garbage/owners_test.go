package garbage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/controller/garbage"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

func world(t *testing.T, config garbage.Config) *plantest.World {
	return plantest.New(t, garbage.New(config))
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func owner(o resource.Object, r *resource.Resource) metav1.OwnerReference {
	return *metav1.NewControllerRef(o, r.GVK)
}

// family is a deployment with its replica set, a pod on a node and a pod that waits, and a configmap that
// belongs to the set and to a service.
func family(w *plantest.World) {
	d := plantest.Deployment("web 2")
	w.Put(plantest.Node("n1"), d)
	rs := plantest.ReplicaSet("web-1 2")
	rs.OwnerReferences = []metav1.OwnerReference{owner(d, resource.Deployments)}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	w.Put(rs, service)
	for _, text := range []string{"bound node=n1", "waits"} {
		p := plantest.Pod(text)
		p.OwnerReferences = []metav1.OwnerReference{owner(rs, resource.ReplicaSets)}
		w.Put(p)
	}
	w.Put(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shared", OwnerReferences: []metav1.OwnerReference{
		owner(rs, resource.ReplicaSets), {APIVersion: "v1", Kind: "Service", Name: "web", UID: service.UID},
	}}})
}

// Background: what is left without an owner goes, level by level, pods with their grace; an object with another
// owner only loses the reference.
func TestBackground(t *testing.T) {
	w := world(t, garbage.Config{})
	family(w)
	wantLines(t, w.Settle())
	w.Delete(resource.Deployments, "default", "web")
	wantLines(t, w.Settle(),
		"delete replicasets.apps default/web-1: its owner Deployment web is gone",
		"update configmaps default/shared: some of its owners are gone",
		"update pods default/bound: its owner ReplicaSet web-1 is gone",
		"delete pods default/waits: its owner ReplicaSet web-1 is gone",
	)
	if p := plantest.Get[*corev1.Pod](w, resource.Pods, "default", "bound"); p.DeletionTimestamp == nil {
		t.Error("the pod on a node is not being deleted")
	}
	if more := w.Again(garbage.New(garbage.Config{})); len(more) != 0 {
		t.Errorf("planning again: %v", more)
	}
	w.Delete(resource.Services, "default", "web")
	wantLines(t, w.Settle(), "delete configmaps default/shared: its owner Service web is gone")
}

// Foreground: the owner stays until its dependents, and theirs, are gone.
func TestForeground(t *testing.T) {
	w := world(t, garbage.Config{})
	family(w)
	w.Settle()
	now := metav1.NewTime(w.Now.Wall)
	plantest.Update(w, resource.Deployments, "default", "web", func(d *appsv1.Deployment) {
		d.DeletionTimestamp, d.Finalizers = &now, []string{metav1.FinalizerDeleteDependents}
	})
	wantLines(t, w.Settle(),
		"update replicasets.apps default/web-1: its owner is being deleted in the foreground",
		"update configmaps default/shared: some of its owners are gone",
		"update pods default/bound: its owner is being deleted in the foreground",
		"delete pods default/waits: its owner is being deleted in the foreground",
	)
	w.Delete(resource.Pods, "default", "bound") // its node says that it has ended
	wantLines(t, w.Settle(),
		"delete replicasets.apps default/web-1: its dependents are gone",
		"delete deployments.apps default/web: its dependents are gone",
	)
}

// Orphan: the dependents stay and forget their owner.
func TestOrphan(t *testing.T) {
	w := world(t, garbage.Config{})
	family(w)
	w.Settle()
	now := metav1.NewTime(w.Now.Wall)
	plantest.Update(w, resource.Deployments, "default", "web", func(d *appsv1.Deployment) {
		d.DeletionTimestamp, d.Finalizers = &now, []string{metav1.FinalizerOrphanDependents}
	})
	wantLines(t, w.Settle(),
		"update replicasets.apps default/web-1: its owner is deleted and leaves it behind",
		"delete deployments.apps default/web: its dependents are orphans",
	)
}

// An object is not collected when its owner is there under another's eyes: of a kind that isn't served, or
// created a moment before it. It is when only the name is the same.
func TestWhoIsAnOwner(t *testing.T) {
	for _, s := range []struct {
		name string
		ref  metav1.OwnerReference
		gone bool
	}{
		{"of a kind that isn't served", metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Thing", Name: "x", UID: "x"}, false},
		{"cluster-wide", metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "n1", UID: "node"}, false},
		{"never there", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "x"}, true},
		{"of another uid", metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "n1", UID: "old"}, true},
	} {
		t.Run(s.name, func(t *testing.T) {
			w := world(t, garbage.Config{})
			n := plantest.Node("n1")
			n.UID = "node"
			w.Put(n, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", OwnerReferences: []metav1.OwnerReference{s.ref}}})
			w.Settle()
			if gone := !w.Has(resource.ConfigMaps, "default", "c"); gone != s.gone {
				t.Errorf("gone: %v", gone)
			}
		})
	}
}

// What finalizers of others hold is marked once and left.
func TestFinalizersHold(t *testing.T) {
	w := world(t, garbage.Config{})
	w.Put(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: "c", Finalizers: []string{"example.com/hold"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "x"}},
	}})
	wantLines(t, w.Settle(), "update configmaps default/c: its owner ConfigMap x is gone")
	if c := plantest.Get[*corev1.ConfigMap](w, resource.ConfigMaps, "default", "c"); c.DeletionTimestamp == nil {
		t.Error("not marked")
	}
}

// A write of somebody else between plan and commit costs nothing but another plan.
func TestConflictsAreNotForgotten(t *testing.T) {
	w := plantest.New(t)
	c := garbage.New(garbage.Config{})
	family(w)
	c.Reset(w.Store.View())
	w.Delete(resource.Deployments, "default", "web")
	w.Add(c)
	if lines := w.Again(c); len(lines) == 0 {
		t.Fatal("nothing is planned")
	}
	plantest.Update(w, resource.ReplicaSets, "default", "web-1", func(rs *appsv1.ReplicaSet) { rs.Status.Replicas = 1 })
	w.Settle()
	if w.Has(resource.ReplicaSets, "default", "web-1") {
		t.Error("the set was forgotten")
	}
}
