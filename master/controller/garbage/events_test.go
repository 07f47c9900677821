package garbage_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/controller/garbage"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

func happen(w *plantest.World, name string) {
	g := resource.NewGroup(w.Store.View(), w.Now.Wall)
	g.Record(resource.Occurrence{
		About: resource.Pods.Reference("default", name, "uid"), Type: corev1.EventTypeNormal, Reason: "Tested", Component: "test",
	})
	w.Commit(g.Changes()...)
}

func count(w *plantest.World) int { return w.Store.View().Count(resource.Events.Kind) }

// An event goes an hour after it last happened, by the boot clock.
func TestEventsAge(t *testing.T) {
	w := world(t, garbage.Config{})
	happen(w, "a")
	happen(w, "b")
	w.Settle()
	w.Advance(30 * time.Minute)
	w.Now.Wall = w.Now.Wall.Add(-24 * time.Hour)
	happen(w, "a")
	w.Settle()
	w.Advance(30 * time.Minute)
	if lines := w.Settle(); len(lines) != 1 || count(w) != 1 {
		t.Errorf("removed %v", lines)
	}
	w.Rest()
	if count(w) != 0 || w.Now.Boot != plantestStart+90*time.Minute {
		t.Errorf("%d left after %s", count(w), w.Now.Boot-plantestStart)
	}
}

const plantestStart = time.Hour // World's boot clock at its beginning

// A restarted master goes by the wall clock for what is older than itself.
func TestEventsAgeAcrossRestarts(t *testing.T) {
	w := world(t, garbage.Config{})
	happen(w, "a")
	w.Settle()
	w.Advance(59 * time.Minute)
	if lines := w.Again(garbage.New(garbage.Config{})); len(lines) != 0 {
		t.Errorf("too early: %v", lines)
	}
	w.Advance(time.Minute)
	if lines := w.Again(garbage.New(garbage.Config{})); len(lines) != 1 {
		t.Errorf("too late: %v", lines)
	}
}

// Beyond their number the oldest events go, a tenth more than needed.
func TestTooManyEvents(t *testing.T) {
	w := world(t, garbage.Config{MaxEvents: 20})
	for i := range 20 {
		happen(w, fmt.Sprintf("e%02d", i))
		w.Advance(time.Second)
		wantLines(t, w.Settle())
	}
	happen(w, "e00") // once more: it is the newest now
	happen(w, "one-too-many")
	w.Settle()
	left := map[string]bool{}
	for _, e := range plantest.List[*corev1.Event](w, resource.Events) {
		left[e.InvolvedObject.Name] = true
	}
	if len(left) != 18 || !left["e00"] || !left["one-too-many"] || left["e01"] || left["e03"] || !left["e04"] {
		t.Errorf("left: %v", left)
	}
}
