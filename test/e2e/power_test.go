package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// A board without power: its pods run elsewhere, those that must be single once the permit has ended. What is pinned to
// it waits, runs again as soon as the board has power, though it is still cut off, and is what the API knows when the
// link is back.
func TestPowerIsLost(t *testing.T) {
	t.Parallel()
	f := newTrial(t, 3)
	lost := f.nodes[0]
	f.start("node-1", "keep", "one", "bare", "pinned")
	begun := now(t)
	f.contains(f.kubectl("fence", "--list"), "node-1", "never: the pod is bound to the node", "7s after its last permit")

	f.do(lost.PowerOff())
	off := now(t)
	f.until("the pod says what it waits for", func() (bool, string) {
		events, err := f.api.Events()
		return slices.ContainsFunc(events, func(e corev1.Event) bool {
			return e.Reason == "PodStays" && strings.HasPrefix(e.InvolvedObject.Name, "one-") &&
				strings.Contains(e.Message, "it must run at most once and is replaced when this node's permit to run it has surely ended")
		}), seen(fmt.Sprint(len(events)), err)
	})
	t.Logf("describe pod:\n%s", f.kubectl("describe", "pod", "-l", "app=one"))
	for _, name := range []string{"keep", "one", "bare"} {
		f.untilRuns(name, "!node-1")
	}
	f.untilNode("node-1", corev1.ConditionUnknown)
	for _, p := range f.pods("pinned") {
		if p.Spec.NodeName != "node-1" || p.DeletionTimestamp != nil {
			t.Errorf("the pinned pod: %s", describe([]corev1.Pod{p}))
		}
	}
	if again := f.restarted("pinned", off); len(again) > 0 {
		t.Errorf("the pinned pod was started elsewhere: %v", again)
	}
	for _, name := range single {
		f.always(name, begun, off)
	}
	describes(f, "node-1", "a node without power")
	t.Logf("fence --list:\n%s", f.kubectl("fence", "--list"))

	f.do(lost.PowerOn())
	f.until("the pinned pod runs offline", func() (bool, string) {
		tasks, err := lost.Tasks()
		return len(f.restarted("pinned", off)) == 1, seen(strings.Join(tasks, " "), err)
	})
	f.do(lost.Host.Heal())
	f.untilNode("node-1", corev1.ConditionTrue)
	f.untilRuns("pinned", "node-1")
	f.untilTidy(lost, 1)
	back := now(t)
	for _, name := range []string{"keep", "one", "bare"} {
		f.untilRuns(name, "!node-1")
	}
	f.always("pinned", back, now(t))
	f.verdict(single...)
}

// describes writes down what a person sees.
func describes(f *trial, node, what string) {
	f.Helper()
	f.Logf("%s:\n%s", what, f.kubectl("describe", "node", node))
}
