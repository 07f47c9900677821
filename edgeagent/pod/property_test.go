package pod_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/pod"
)

// Whatever happens, in whatever order: no container has two attempts alive, a pod that ends starts nothing,
// deciding again asks for nothing new (the world checks these at every step), no attempt is started twice, and
// a deleted pod is gone in the end.
func TestWhateverHappens(t *testing.T) {
	policies := []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, newPod(policies[random.IntN(3)], "init:prepare", "side:proxy", "app", "helper"))
		started := map[string]bool{}
		check := func() {
			for _, a := range w.last.Actions {
				if a.Kind != pod.Start {
					continue
				}
				if w.desire == nil || w.desire.DeletionTimestamp != nil {
					t.Fatalf("seed %d: an ending pod starts %s:\n%s", seed, a, strings.Join(w.trace, "\n"))
				}
				if started[a.ID] && w.startErr[a.Container] == nil && ran(w, a.ID) {
					t.Fatalf("seed %d: %s is started again:\n%s", seed, a, strings.Join(w.trace, "\n"))
				}
			}
		}
		for range 60 {
			w.decide()
			check()
			switch random.IntN(8) {
			case 0, 1, 2:
				if len(w.doing) > 0 {
					a := w.doing[random.IntN(len(w.doing))]
					started[a.ID] = started[a.ID] || a.Kind == pod.Start
					w.finish(a)
				}
			case 3:
				if n := len(w.containers); n > 0 {
					w.ends(w.containers[random.IntN(n)].Labels[engine.LabelContainer], random.IntN(2))
				}
			case 4:
				w.pass(time.Duration(random.IntN(60)) * time.Second)
			case 5:
				if random.IntN(4) == 0 {
					w.reboots()
				} else if random.IntN(2) == 0 {
					w.agentRestarts()
				}
			case 6:
				image := []string{"app:1", "proxy:1"}[random.IntN(2)]
				w.pullErr[image] = nil
				if random.IntN(2) == 0 {
					w.pullErr[image] = errRegistry
				}
			case 7:
				w.startErr["helper"] = nil
				if random.IntN(3) == 0 {
					w.startErr["helper"] = fmt.Errorf("exec: %w", engine.ErrStart)
				}
			}
		}
		w.deleted(10)
		for i := 0; !w.last.Gone; i++ {
			if i > 20 {
				t.Fatalf("seed %d: never gone:\n%s", seed, strings.Join(w.trace, "\n"))
			}
			w.settle()
			check()
			w.pass(time.Minute)
		}
		if len(w.containers) > 0 || w.network {
			t.Fatalf("seed %d: gone, but there are still %d containers, network %v", seed, len(w.containers), w.network)
		}
	}
}

// ran reports whether an attempt is listed as one that has run.
func ran(w *world, id string) bool {
	for _, c := range w.containers {
		if c.ID == id && c.State != engine.Created {
			return true
		}
	}
	return false
}
