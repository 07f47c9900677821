package resource

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
)

// The rules of https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/.
func TestTolerates(t *testing.T) {
	taint := corev1.Taint{Key: "disk", Value: "broken", Effect: corev1.TaintEffectNoSchedule}
	for _, s := range []struct {
		name string
		t    corev1.Toleration
		want bool
	}{
		{"equal", corev1.Toleration{Key: "disk", Operator: corev1.TolerationOpEqual, Value: "broken", Effect: corev1.TaintEffectNoSchedule}, true},
		{"equal is the default", corev1.Toleration{Key: "disk", Value: "broken"}, true},
		{"another value", corev1.Toleration{Key: "disk", Value: "slow"}, false},
		{"any value", corev1.Toleration{Key: "disk", Operator: corev1.TolerationOpExists}, true},
		{"another key", corev1.Toleration{Key: "fan", Operator: corev1.TolerationOpExists}, false},
		{"everything", corev1.Toleration{Operator: corev1.TolerationOpExists}, true},
		{"another effect", corev1.Toleration{Key: "disk", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}, false},
		{"an operator that is not supported", corev1.Toleration{Key: "disk", Operator: "Gt", Value: "1"}, false},
	} {
		if got := Tolerates(&s.t, &taint); got != s.want {
			t.Errorf("%s: %v", s.name, got)
		}
	}
}

// What is read from the encoding is what decoding finds.
func TestReadingWithoutDecoding(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "u-1", Labels: map[string]string{"a": "b"}},
		Spec:       corev1.PodSpec{NodeName: "n1"},
		Status:     corev1.PodStatus{Phase: corev1.PodFailed},
	}
	value, err := Encode(pod)
	if err != nil {
		t.Fatal(err)
	}
	if PodNodeName(value) != "n1" || PodPhase(value) != corev1.PodFailed || PodUID(value) != "u-1" {
		t.Errorf("%q %q %q", PodNodeName(value), PodPhase(value), PodUID(value))
	}
	meta, err := Meta(value)
	if d := cmp.Diff(pod.ObjectMeta, meta); err != nil || d != "" {
		t.Error(err, d)
	}
	for _, broken := range [][]byte{nil, {0x12, 0x00}, {0x0a, 0x7f}, value[:5]} {
		if _, err := Meta(broken); err == nil {
			t.Errorf("%x passes for an object", broken)
		}
	}
}

// Deleting does what the API does: at once, with grace, or marked for the sake of finalizers, once.
func TestGroupDelete(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	bound := func() *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", Generation: 1}, Spec: corev1.PodSpec{NodeName: "n1"}}
	}
	node := oneRecord{change.Record{Key: Nodes.Key("", "n1"), Rev: 1, Value: []byte{}}}
	held := bound()
	held.Finalizers = []string{"example.com/hold"}
	ending := bound()
	ending.DeletionTimestamp = &metav1.Time{Time: at}

	for _, s := range []struct {
		name    string
		view    change.View
		pod     *corev1.Pod
		now     bool
		written bool
		grace   int64 // -1: deleted at once
	}{
		{"on a node", node, bound(), false, true, 30},
		{"on a node that does not exist", oneRecord{}, bound(), false, true, -1},
		{"now", node, bound(), true, true, -1},
		{"held", node, held.DeepCopy(), true, true, 0},
		{"ending", node, ending.DeepCopy(), false, false, 0},
		{"ending, and nobody ends it", node, ending.DeepCopy(), true, true, -1},
	} {
		g := NewGroup(s.view, at)
		remove := g.Delete
		if s.now {
			remove = g.DeleteNow
		}
		if got := remove(Pods, s.pod, 7, "test"); got != s.written || g.Len() > 1 || got != (g.Len() == 1) {
			t.Errorf("%s: written %v, %d changes", s.name, got, g.Len())
			continue
		}
		if !s.written {
			continue
		}
		c := g.Changes()[0]
		if c.Base != 7 || c.Reason != "test" || c.Deletes() != (s.grace < 0) {
			t.Errorf("%s: %+v", s.name, c)
		}
		if s.grace < 0 {
			continue
		}
		pod, err := As[*corev1.Pod](Pods, change.Record{Key: c.Key, Value: c.Value})
		if err != nil {
			t.Fatal(err)
		}
		due := at.Add(time.Duration(s.grace) * time.Second)
		if *pod.DeletionGracePeriodSeconds != s.grace || !pod.DeletionTimestamp.Time.Equal(due) || pod.Generation != 2 {
			t.Errorf("%s: %+v", s.name, pod.ObjectMeta)
		}
	}
}
