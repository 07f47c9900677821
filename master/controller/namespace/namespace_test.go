package namespace_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/controller/namespace"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// in puts an object into the namespace demo.
func in(o resource.Object) resource.Object {
	o.SetNamespace("demo")
	return o
}

func world(t *testing.T) *plantest.World {
	w := plantest.New(t, namespace.New())
	demo := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	resource.Namespaces.PrepareCreate(demo)
	w.Put(plantest.Node("n1"), demo)
	return w
}

// A namespace that is being deleted is emptied, makers first; pods on a node get their grace, and only when the
// last object is gone does the namespace go.
func TestEmptying(t *testing.T) {
	w := world(t)
	w.Put(in(plantest.Pod("bound node=n1")), in(plantest.Pod("waits")), in(plantest.ReplicaSet("web 1")),
		in(plantest.Deployment("web 1")), in(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}),
		plantest.Pod("of-another-namespace"))
	g := resource.NewGroup(w.Store.View(), w.Now.Wall)
	g.Record(resource.Occurrence{About: resource.Pods.Reference("demo", "waits", "x"), Type: "Normal", Reason: "Tested"})
	w.Commit(g.Changes()...)
	wantLines(t, w.Settle())

	w.Ask(resource.Namespaces, "", "demo")
	got := w.Settle()
	for i, line := range got {
		if strings.HasPrefix(line, "delete events demo/waits.") {
			got[i] = "delete events demo/waits.*: its namespace is being deleted"
		}
	}
	wantLines(t, got,
		"delete deployments.apps demo/web: its namespace is being deleted",
		"delete replicasets.apps demo/web: its namespace is being deleted",
		"update pods demo/bound: its namespace is being deleted",
		"delete pods demo/waits: its namespace is being deleted",
		"delete configmaps demo/settings: its namespace is being deleted",
		"delete events demo/waits.*: its namespace is being deleted",
		"update namespaces demo: something is left in it",
	)
	ns := plantest.Get[*corev1.Namespace](w, resource.Namespaces, "", "demo")
	if c := ns.Status.Conditions[0]; c.Type != corev1.NamespaceContentRemaining || c.Message != "Some resources are remaining: pods" || c.Status != corev1.ConditionTrue {
		t.Errorf("%+v", c)
	}
	w.Delete(resource.Pods, "demo", "bound") // its node says that it has ended
	wantLines(t, w.Settle(), "delete namespaces demo: nothing is left in it")
	if !w.Has(resource.Pods, "default", "of-another-namespace") {
		t.Error("a pod of another namespace is gone")
	}
}

// What finalizers hold is named, and waited for; so are finalizers of the namespace itself.
func TestFinalizersHold(t *testing.T) {
	w := world(t)
	plantest.Update(w, resource.Namespaces, "", "demo", func(ns *corev1.Namespace) { ns.Finalizers = []string{"example.com/own"} })
	w.Put(in(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/hold"}}}))
	w.Ask(resource.Namespaces, "", "demo")
	w.Settle()
	ns := plantest.Get[*corev1.Namespace](w, resource.Namespaces, "", "demo")
	if c := ns.Status.Conditions[1]; c.Message != "Some content in the namespace has finalizers remaining: example.com/hold" {
		t.Errorf("%+v", c)
	}
	w.Delete(resource.ConfigMaps, "demo", "held")
	wantLines(t, w.Settle(), "update namespaces demo: nothing is left in it")
	if more := w.Again(namespace.New()); len(more) != 0 {
		t.Errorf("planning again: %v", more)
	}
}

// What still gets in is removed, too.
func TestLatecomers(t *testing.T) {
	w := world(t)
	w.Put(in(plantest.Pod("bound node=n1")))
	w.Ask(resource.Namespaces, "", "demo")
	w.Settle()
	w.Put(in(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}}))
	w.Delete(resource.Pods, "demo", "bound")
	wantLines(t, w.Settle(),
		"delete configmaps demo/late: its namespace is being deleted",
		"delete namespaces demo: nothing is left in it")
}

// A new cluster has the usual namespaces and services; a second start changes nothing, and a label that was
// taken away stays away.
func TestSeed(t *testing.T) {
	w := plantest.New(t, namespace.New())
	seed := func() int {
		changes := namespace.Seed(w.Store.View(), w.Now, 6443)
		w.Commit(changes...)
		return len(changes)
	}
	if n := seed(); n != 5 {
		t.Errorf("%d objects", n)
	}
	for _, s := range []struct {
		name, level string
	}{{"default", "privileged"}, {"kube-system", "privileged"}, {"kube-public", ""}, {"kube-node-lease", ""}} {
		ns := plantest.Get[*corev1.Namespace](w, resource.Namespaces, "", s.name)
		if ns.Labels["pod-security.kubernetes.io/enforce"] != s.level || ns.Labels["kubernetes.io/metadata.name"] != s.name ||
			ns.Status.Phase != corev1.NamespaceActive || len(ns.Spec.Finalizers) != 1 || ns.UID == "" {
			t.Errorf("%+v", ns)
		}
	}
	for _, s := range plantest.List[*corev1.Service](w, resource.Services) {
		if s.Labels["kubernetes.io/cluster-service"] != "" { // kubectl cluster-info shows an address that goes through the API
			t.Errorf("service %s claims to be reached through the API", s.Name)
		}
		if errs := resource.Services.Validate(s, nil); len(errs) != 0 {
			t.Errorf("service %s: %v", s.Name, errs)
		}
	}
	plantest.Update(w, resource.Namespaces, "", "default", func(ns *corev1.Namespace) { delete(ns.Labels, "pod-security.kubernetes.io/enforce") })
	if n := seed(); n != 0 {
		t.Errorf("the second start writes %d objects", n)
	}
	wantLines(t, w.Settle())
}
