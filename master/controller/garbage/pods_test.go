package garbage_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/controller/garbage"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

// The pods of a deleted node go at once, without grace: nobody would end them.
func TestPodsOfDeletedNodes(t *testing.T) {
	w := world(t, garbage.Config{})
	w.Put(plantest.Node("n1"), plantest.Node("n2"), plantest.Pod("a node=n1"), plantest.Pod("b node=n2"))
	leaving := plantest.Pod("c node=n1")
	leaving.DeletionTimestamp = &metav1.Time{Time: plantest.Start}
	w.Put(leaving)
	wantLines(t, w.Settle())
	w.Delete(resource.Nodes, "", "n1")
	wantLines(t, w.Settle(),
		"delete pods default/a: its node n1 does not exist",
		"delete pods default/c: its node n1 does not exist",
	)
	w.Put(plantest.Pod("late node=n1"))
	w.Rest()
	if w.Has(resource.Pods, "default", "late") {
		t.Error("a pod that was bound to it later stays")
	}
}

// A pod may name a node that has yet to join, for a while.
func TestPodsOfNodesToCome(t *testing.T) {
	w := world(t, garbage.Config{})
	w.Put(plantest.Pod("a node=n1"), plantest.Pod("b node=n2"))
	w.Settle()
	w.Advance(39 * time.Second)
	w.Put(plantest.Node("n2"))
	wantLines(t, w.Settle())
	w.Advance(time.Second)
	wantLines(t, w.Settle(), "delete pods default/a: its node n1 does not exist")
}

// A pod that is being deleted and has no node has nobody to end it.
func TestPodsAdrift(t *testing.T) {
	w := world(t, garbage.Config{})
	p := plantest.Pod("a")
	p.DeletionTimestamp = &metav1.Time{Time: plantest.Start}
	w.Put(p)
	wantLines(t, w.Settle(), "delete pods default/a: it is being deleted and on no node")
}

// Of ended pods the oldest go when there are too many.
func TestTooManyEndedPods(t *testing.T) {
	w := world(t, garbage.Config{MaxEnded: 2})
	w.Put(plantest.Node("n1"))
	for i := range 4 {
		p := plantest.Pod(fmt.Sprintf("p%d node=n1 restart=Never", 3-i))
		p.Status.Phase = []corev1.PodPhase{corev1.PodFailed, corev1.PodSucceeded}[i%2]
		w.Put(p, plantest.Pod(fmt.Sprintf("runs%d node=n1", i)))
		w.Advance(time.Second)
	}
	wantLines(t, w.Settle(),
		"delete pods default/p3: too many pods have ended",
		"delete pods default/p2: too many pods have ended",
	)
}
