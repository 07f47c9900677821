package resource

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
)

// Every kind is found by the names it is asked for, and each name means one kind.
func TestLookups(t *testing.T) {
	for _, r := range All {
		if got := ByGVR(r.GVR()); got != r {
			t.Errorf("ByGVR(%s) finds another resource", r.GVR())
		}
		if got := ByGVK(r.GVK); got != r {
			t.Errorf("ByGVK(%s) finds another resource", r.GVK)
		}
		if got := ByKind(r.Kind); got != r && r.FromStored == nil {
			t.Errorf("ByKind(%s) finds another resource", r.Kind)
		}
	}
	if ByKind("pods.example.com") != nil || ByGVK(corev1.SchemeGroupVersion.WithKind("Podd")) != nil {
		t.Error("an unknown kind is found")
	}
}

// What Encode writes, Decode reads; the resourceVersion is the record's, and is not stored.
func TestEncodeDecode(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b", ResourceVersion: "7"}}
	value, err := Encode(pod)
	if err != nil {
		t.Fatal(err)
	}
	if pod.ResourceVersion != "7" {
		t.Error("Encode changed its argument")
	}
	got, err := As[*corev1.Pod](Pods, change.Record{Key: Pods.Key("b", "a"), Rev: 9, Value: value})
	if err != nil {
		t.Fatal(err)
	}
	want := pod.DeepCopy()
	want.ResourceVersion, want.Kind, want.APIVersion = "9", "Pod", "v1"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := As[*corev1.Node](Pods, change.Record{Value: value}); err == nil {
		t.Error("a pod passes for a node")
	}
}

// An event written in one API version reads the same in the other, whole.
func TestEventVersions(t *testing.T) {
	at := metav1.NewMicroTime(time.Unix(1700000000, 0).UTC())
	served := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: "e", Namespace: "n"},
		EventTime:           at,
		Series:              &eventsv1.EventSeries{Count: 3, LastObservedTime: at},
		ReportingController: "c", ReportingInstance: "i", Action: "a", Reason: "r", Note: "note", Type: "Normal",
		Regarding:               corev1.ObjectReference{Kind: "Pod", Name: "p"},
		Related:                 &corev1.ObjectReference{Kind: "Node", Name: "q"},
		DeprecatedSource:        corev1.EventSource{Component: "s"},
		DeprecatedCount:         4,
		DeprecatedLastTimestamp: metav1.Unix(1700000000, 0),
	}
	value, err := Encode(served)
	if err != nil {
		t.Fatal(err)
	}
	rec := change.Record{Key: Events.Key("n", "e"), Rev: 1, Value: value}
	stored, err := As[*corev1.Event](Events, rec)
	if err != nil {
		t.Fatal(err)
	}
	if stored.Message != "note" || stored.InvolvedObject.Name != "p" || stored.Kind != "Event" || stored.APIVersion != "v1" {
		t.Errorf("stored as %+v", stored)
	}
	again, err := As[*eventsv1.Event](EventsV1, rec)
	if err != nil {
		t.Fatal(err)
	}
	want := served.DeepCopy()
	want.ResourceVersion, want.Kind, want.APIVersion = "1", "Event", "events.k8s.io/v1"
	if diff := cmp.Diff(want, again); diff != "" {
		t.Error(diff)
	}
}

// A node's lease shows when the node was last heard; the record of the master's own connection has none.
func TestLeaseRendering(t *testing.T) {
	heard := time.Unix(1700000000, 5000).UTC()
	value := EncodeSeen(Seen{HeardWall: heard.UnixNano(), Online: true})
	o := Leases.Render(change.Record{Key: change.Key{Kind: SeenKind, Name: "pi-1"}, Rev: 12, Value: value})
	if o == nil || o.GetName() != "pi-1" || o.GetNamespace() != "kube-node-lease" || o.GetResourceVersion() != "12" {
		t.Fatalf("rendered %+v", o)
	}
	if o := Leases.Render(change.Record{Key: change.Key{Kind: SeenKind, Name: LinkName}, Value: value}); o != nil {
		t.Errorf("the link has a lease: %+v", o)
	}
}

// Indexes are computed from encodings, and what does not decode is in none.
func TestSchema(t *testing.T) {
	controller := true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{
			{UID: "not-this"}, {UID: "u", Controller: &controller},
		}},
		Spec: corev1.PodSpec{NodeName: "n"},
	}
	value, err := Encode(pod)
	if err != nil {
		t.Fatal(err)
	}
	s := Schema()
	got := map[string]string{}
	for _, index := range s.Indexes[Pods.Kind] {
		got[index.Name] = index.Of(value)
		if index.Of([]byte{0xff}) != "" {
			t.Errorf("index %s takes garbage", index.Name)
		}
	}
	if diff := cmp.Diff(map[string]string{"owner": "u", "spec.nodeName": "n"}, got); diff != "" {
		t.Error(diff)
	}
	if !s.Volatile[SeenKind] || !s.Volatile[Leases.Kind] || s.Volatile[Pods.Kind] {
		t.Errorf("volatile: %v", s.Volatile)
	}
}

// Derived names depend on the seed alone and have the forms that Kubernetes expects.
func TestDerivedNames(t *testing.T) {
	if first, second := DeriveUID("a"), DeriveUID("a"); first != second || first == DeriveUID("b") {
		t.Error("uids don't follow their seeds")
	}
	if uid := string(DeriveUID("a")); len(uid) != 36 || uid[14] != '8' {
		t.Errorf("uid %q has not the form of a version 8", uid)
	}
	if n := NameSuffix("a"); len(n) != 5 || n != NameSuffix("a") || n == NameSuffix("b") {
		t.Errorf("suffix %q", n)
	}
}
