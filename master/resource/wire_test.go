package resource

import (
	"math/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// An index read from the encoding is what the decoded object says, whatever else is in the object.
func TestIndexesAgreeWithObjects(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	some := func(texts ...string) string { return texts[rng.Intn(len(texts))] }
	for range 500 {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: some("", "a", "b"), Labels: map[string]string{"k": some("v", "w")}},
			Spec:       corev1.PodSpec{NodeName: some("", "n1", "n2"), Hostname: some("", "h")},
		}
		for range rng.Intn(3) {
			ref := metav1.OwnerReference{UID: types.UID(some("u1", "u2", "u3")), Name: "o"}
			if rng.Intn(2) == 0 {
				ref.Controller = new(rng.Intn(2) == 0)
			}
			pod.OwnerReferences = append(pod.OwnerReferences, ref)
		}
		event := &corev1.Event{InvolvedObject: corev1.ObjectReference{UID: types.UID(some("", "u")), Name: some("", "n")}}
		for _, c := range []struct {
			r *Resource
			o Object
		}{{Pods, pod}, {Events, event}} {
			value, err := Encode(c.o)
			if err != nil {
				t.Fatal(err)
			}
			for _, index := range Schema().Indexes[c.r.Kind] {
				want := ""
				if index.Name != OwnerIndex {
					want = c.r.Fields[index.Name](c.o)
				} else if ref := metav1.GetControllerOf(c.o); ref != nil {
					want = string(ref.UID)
				}
				if got := index.Of(value); got != want {
					t.Fatalf("index %s of %+v is %q, want %q", index.Name, c.o, got, want)
				}
			}
		}
	}
}

// A broken encoding is in no index, and hurts nobody.
func FuzzIndexes(f *testing.F) {
	value, err := Encode(&corev1.Pod{Spec: corev1.PodSpec{NodeName: "n"}, ObjectMeta: metav1.ObjectMeta{
		OwnerReferences: []metav1.OwnerReference{{UID: "u", Controller: new(true)}},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	indexes := Schema().Indexes
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, of := range indexes {
			for _, index := range of {
				index.Of(value)
			}
		}
	})
}

func BenchmarkIndexes(b *testing.B) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b"}}
	pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
	defaultPod(pod)
	value, err := Encode(pod)
	if err != nil {
		b.Fatal(err)
	}
	indexes := Schema().Indexes[Pods.Kind]
	for b.Loop() {
		for _, index := range indexes {
			index.Of(value)
		}
	}
}
