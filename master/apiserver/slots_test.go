package apiserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

func (a *api) hold(namespace, owner string, s resource.Slot) {
	a.t.Helper()
	key := resource.Slots{Namespace: namespace, Owner: owner}.Key(0)
	if _, err := a.store.Commit(a.t.Context(), []change.Change{{Key: key, Base: change.Any, Value: resource.EncodeSlot(s)}}); err != nil {
		a.t.Fatal(err)
	}
}

// Administrators see who may run what runs once, and set free what a node holds; that is said on the node.
func TestSlots(t *testing.T) {
	a := newAPI(t)
	a.put(resource.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "n"}})
	a.hold("default", "pod/db", resource.Slot{Pod: "u1", Name: "db", Node: "n1", Bound: true})
	a.hold("default", "deployment/web", resource.Slot{Pod: "u2", Name: "web-x", Node: "n2", Millis: 40_000})
	first := Slot{Namespace: "default", Slot: "deployment/web/0", Pod: "web-x", UID: "u2", Node: "n2", LastsSeconds: 40}
	second := Slot{Namespace: "default", Slot: "pod/db/0", Pod: "db", UID: "u1", Node: "n1", Bound: true}
	list := func(path string, want ...Slot) {
		t.Helper()
		var got SlotList
		a.get(path).into(200, &got)
		if d := cmp.Diff(append([]Slot{}, want...), got.Items); d != "" {
			t.Error(d)
		}
	}
	list(slotsPath, first, second)
	list(slotsPath+"/n1", second)

	viewer := a.do(ask{method: "DELETE", path: slotsPath + "/n1", groups: []string{GroupViewers}})
	viewer.fails(403, metav1.StatusReasonForbidden, `cannot delete resource "slots"`)
	a.do(ask{method: "DELETE", path: slotsPath}).fails(405, metav1.StatusReasonMethodNotAllowed, "")
	a.do(ask{method: "DELETE", path: slotsPath + "/nobody"}).fails(404, metav1.StatusReasonNotFound, `nodes "nobody" not found`)

	var freed SlotList
	a.do(ask{method: "DELETE", path: slotsPath + "/n1"}).into(200, &freed)
	if d := cmp.Diff([]Slot{second}, freed.Items); d != "" {
		t.Error(d)
	}
	list(slotsPath, first)
	a.do(ask{method: "DELETE", path: slotsPath + "/n1"}).into(200, &freed)
	if len(freed.Items) != 0 {
		t.Errorf("fenced twice: %v", freed.Items)
	}
	events := 0
	for rec := range a.store.View().List(resource.Events.Kind, "") {
		if e, err := resource.As[*corev1.Event](resource.Events, rec); err == nil && e.Reason == "Fenced" && e.InvolvedObject.Name == "n1" {
			events++
		}
	}
	if events != 1 {
		t.Errorf("%d events say so", events)
	}
	// A node whose object is gone can be fenced, too.
	a.do(ask{method: "DELETE", path: slotsPath + "/n2"}).into(200, &freed)
	list(slotsPath)
}
