package serviceaccount_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/controller/namespace"
	"github.com/skerry-edge/skerry/master/controller/serviceaccount"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func newNamespace(name string) *corev1.Namespace {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	resource.Namespaces.PrepareCreate(ns)
	return ns
}

// Each namespace gets its account: those that are there at the start, new ones, and those whose account was deleted.
// Other accounts are nobody's business.
func TestEveryNamespaceHasOne(t *testing.T) {
	w := plantest.New(t)
	w.Put(newNamespace("early"))
	w.Add(serviceaccount.New())
	wantLines(t, w.Settle(), "create serviceaccounts early/default: its namespace has none")
	w.Put(newNamespace("late"))
	wantLines(t, w.Settle(), "create serviceaccounts late/default: its namespace has none")
	first := plantest.Get[*corev1.ServiceAccount](w, resource.ServiceAccounts, "late", "default")
	if errs := resource.ServiceAccounts.Validate(first, nil); len(errs) > 0 || first.UID == "" || first.CreationTimestamp.IsZero() {
		t.Errorf("made %+v: %v", first, errs)
	}
	w.Delete(resource.ServiceAccounts, "late", "default")
	wantLines(t, w.Settle(), "create serviceaccounts late/default: its namespace has none")
	second := plantest.Get[*corev1.ServiceAccount](w, resource.ServiceAccounts, "late", "default")
	if first.UID == second.UID { // tokens of the first must not be good for the second
		t.Error("the account that was made anew has the uid of the deleted one")
	}
	w.Put(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "late", Name: "robot"}})
	w.Delete(resource.ServiceAccounts, "late", "robot")
	wantLines(t, w.Settle())
	wantLines(t, w.Again(serviceaccount.New()))
}

// A namespace that is being deleted gets none, so that it can go.
func TestNotIntoATerminatingNamespace(t *testing.T) {
	w := plantest.New(t, namespace.New(), serviceaccount.New())
	w.Put(newNamespace("demo"))
	w.Settle()
	w.Ask(resource.Namespaces, "", "demo")
	wantLines(t, w.Settle(),
		"delete serviceaccounts demo/default: its namespace is being deleted",
		"delete namespaces demo: nothing is left in it")
}
