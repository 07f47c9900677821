package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/test/images"
	"github.com/skerry-edge/skerry/test/pulse"
)

// Who deletes a pod of a silent node by force gets no second one: its successor of the same name waits for the end of
// the permit, and one that was pinned for a person's word that the node is off.
func TestForcedDelete(t *testing.T) {
	t.Parallel()
	f := newTrial(t, 3)
	f.start("node-1", "bare", "pinned")
	cut := now(t)
	f.do(f.nodes[0].Host.Cut())
	f.kubectl("delete", "pod", "bare", "pinned", "--force", "--grace-period=0")
	f.kubectl("cordon", "node-1")
	f.apply(f.manifest("bare", ""))
	f.apply(f.manifest("pinned", "node-2"))
	f.untilRuns("bare", "!node-1")
	if again := f.restarted("bare", cut); len(again) != 1 || again[0] < cut+quickPermit {
		t.Errorf("it was started at %v; the link was cut at %s", again, cut)
	}
	var said string
	f.until("the pinned pod says what it waits for", func() (bool, string) {
		out, err := f.master.Kubectl("describe", "pod", "pinned")
		said = out
		return contains(out, "WaitingForSlot", "edgectl fence node-1"), seen(out, err)
	})
	t.Logf("describe pod:\n%s", said)

	// The old one lives: it is the person who would be wrong.
	if again := f.restarted("pinned", cut); len(again) != 0 {
		t.Errorf("it was started again at %v", again)
	}
	f.always("pinned", cut, now(t))
	f.contains(f.refused("", "fence", "node-1"), "make sure that node-1 is off", "--it-is-off")
	f.contains(f.kubectl("fence", "--list"), "node-1", "never: the pod is bound to the node")
	f.do(f.nodes[0].PowerOff())
	f.contains(f.kubectl("fence", "node-1", "--it-is-off"), "node node-1 fenced", "pod/pinned/0")
	f.untilRuns("pinned", "node-2")
	if out := f.kubectl("fence", "--list", "node-1"); !strings.Contains(out, "No pod runs") {
		t.Errorf("the fenced node still holds\n%s", out)
	}
	f.contains(f.kubectl("fence", "node-1", "--it-is-off"), "holds nothing that others wait for")
	f.verdict("bare", "pinned")

	// What was fenced does not start again when it is back after all, with its disk from before.
	f.do(f.nodes[0].Host.Heal(), f.nodes[0].PowerOn())
	f.untilNode("node-1", corev1.ConditionTrue)
	f.untilTidy(f.nodes[0], 0)
	f.untilRuns("pinned", "node-2")
}

// A rollout and a drain of what must be single: one ends before the next begins, and there is always one afterwards.
func TestSingleIsReplaced(t *testing.T) {
	t.Parallel()
	f := &fleet{T: t, lab: newLab(t)}
	f.startMaster(quick...)
	const next = "skerry.test/probe:2"
	image, err := images.ProbeImage(images.Host())
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{"node-1", "node-2"} {
		dir := filepath.Join(f.lab.Dir, node, "images")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := images.Docker(filepath.Join(dir, "next.tar"), next, image); err != nil {
			t.Fatal(err)
		}
		f.addNode()
	}
	f.waitReady(2)
	s := trialOf(f)
	s.start("node-1", "one")
	steps := []func(){
		func() { f.kubectl("set", "image", "deployment/one", "main="+next) },
		func() { f.kubectl("rollout", "restart", "deployment/one") },
		func() {
			f.kubectl("drain", s.settled("one"), "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=50s")
		},
		func() { f.kubectl("rollout", "undo", "deployment/one") },
		func() { f.kubectl("delete", "pod", "-l", "app=one", "--wait=false") },
		func() {
			f.kubectl("scale", "deployment/one", "--replicas=0")
			f.kubectl("scale", "deployment/one", "--replicas=1")
		},
	}
	for i, step := range steps {
		before := s.pods("one")[0]
		begun := now(t)
		step()
		f.kubectl("rollout", "status", "deployment/one", "--timeout=50s")
		f.until("the next one runs", func() (bool, string) {
			pods, err := s.api.Pods("app=one")
			return err == nil && len(pods) == 1 && pods[0].UID != before.UID && ready(pods[0]), seen(describe(pods), err)
		})
		s.untilRuns("one", s.settled("one"))
		if again := s.restarted("one", begun); len(again) != 1 {
			t.Errorf("step %d: started %d times", i, len(again))
		}
		if err := pulse.AtMostOne(s.read("one")); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	s.verdict("one")
}
