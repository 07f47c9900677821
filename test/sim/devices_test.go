package sim

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Two machines with one disk take turns: somebody is told, and when the copy is gone everything comes to rest.
func TestAClonedDiskIsReported(t *testing.T) {
	for seed := int64(1); seed <= 8; seed++ {
		w := three(t, Options{Seed: seed, Skewed: true})
		w.nodes[0].clone(time.Minute)
		w.need(t, time.Minute, "an event says that two agents have one identity", func() bool {
			for rec := range w.master.store.View().List(resource.Events.Kind, "") {
				if e, err := resource.As[*corev1.Event](resource.Events, rec); err == nil && e.Reason == "DuplicateIdentity" {
					return true
				}
			}
			return false
		})
		w.need(t, 3*time.Minute, "all is well when the copy is gone", func() bool { return len(w.clones) == 0 && w.well() })
	}
}

// A machine that joins again under another name goes on with what it ran until it is told what it shall run, and the
// pods of the old name run again.
func TestAMachineIsRenamed(t *testing.T) {
	for seed := int64(1); seed <= 8; seed++ {
		w := three(t, Options{Seed: seed})
		n1 := w.nodes[0]
		before := n1.alive()
		n1.rename()
		if got := w.nodes[0].alive(); got != before {
			t.Fatalf("seed %d: of %d containers %d are left", seed, before, got)
		}
		w.need(t, 4*time.Minute, "all is well and the old name is gone", w.well)
		if w.nodes[0].name == "n1" {
			t.Fatal("nothing was renamed")
		}
	}
}

// An agent that stands still leaves its containers running; its node is given up, and it ends the old copies when it goes
// on, with orders that were overtaken.
func TestAnAgentIsFrozen(t *testing.T) {
	for seed := int64(1); seed <= 8; seed++ {
		w := three(t, Options{Seed: seed})
		n1 := w.nodes[0]
		before := n1.alive()
		n1.freeze(90 * time.Second)
		w.need(t, 45*time.Second, "n1 is Unknown", func() bool { return w.is("n1", corev1.NodeReady) == corev1.ConditionUnknown })
		w.need(t, 10*time.Second, "six pods run elsewhere", func() bool { return w.running("n1") == 6 })
		if n1.alive() != before {
			t.Errorf("seed %d: of %d containers %d are left while the agent is frozen", seed, before, n1.alive())
		}
		w.need(t, 2*time.Minute, "n1 is back and has stopped the old copies", func() bool { return w.well() && n1.alive() == 0 })
	}
}

// A master that is started with other settings gives nobody up for them, and they are in force within an interval.
func TestOtherSettings(t *testing.T) {
	for seed := int64(1); seed <= 4; seed++ {
		for _, next := range choices {
			w := three(t, Options{Seed: seed, Skewed: true})
			if next.Timeout() < w.settings.Heartbeat() {
				continue // docs/node-loss.md: the nodes hear of it within an interval, and that is too late
			}
			w.settings = next
			w.master.crash(time.Second, false)
			w.Run(2 * time.Minute)
			if w.failure != nil || !w.well() || len(w.flips) > 0 {
				t.Errorf("seed %d, %+v: %v %v: flips %v", seed, next, w.failure, w.amiss(), w.flips)
			}
			w.sent = map[string]int{}
			w.Run(time.Minute)
			w.checkSilence("a minute with other settings", time.Minute)
			if w.failure != nil {
				t.Errorf("seed %d, %+v: %v", seed, next, w.failure)
			}
		}
	}
}

// A fleet of 200 nodes and 2,000 pods is played like any other world.
func TestAFleet(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("-short or -race: a fleet takes a minute; make test plays one without the detector")
	}
	w := New(Options{Seed: 1, Nodes: 200, Settings: message.Settings{}, Skewed: true})
	w.user.Load(2000)
	lost := map[string]bool{}
	running := func() bool {
		count := 0
		for _, p := range w.facts.pods {
			if p.ready && p.deleted == 0 && !lost[p.node] {
				count++
			}
		}
		return count == 2000
	}
	w.need(t, time.Minute, "2,000 pods run", running)
	for _, n := range w.nodes[:50] {
		lost[n.name] = true
		w.bus.Cut(n.name, true, true)
	}
	took := w.need(t, 33*time.Second, "the pods of 50 lost nodes run elsewhere", running)
	t.Logf("50 of 200 nodes cut → their pods run elsewhere: %s", took.Round(time.Millisecond))
}

// The story of a failure is about what it names.
func TestStory(t *testing.T) {
	w := three(t, Options{Seed: 1})
	w.nodes[0].crash(time.Second)
	w.nodes[1].crash(time.Second)
	w.Run(5 * time.Second)
	w.fail("n1 is not as it should be")
	story := w.Story(1000)
	if !strings.Contains(story, "n1      agent CRASHES") || strings.Contains(story, "n2      agent CRASHES") {
		t.Errorf("not the story of n1:\n%s", story)
	}
}
