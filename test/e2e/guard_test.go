package e2e

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/test/lab"
	"github.com/skerry-edge/skerry/test/pulse"
)

// An agent that can't do anything any more while its containers live on: the guard ends those that must be single by
// the deadline, and they run elsewhere; the others stay. When the agent is back everything is as it should be.
func TestAgentAloneFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		cut        bool
		fail, mend func(*lab.Agent) error
	}{
		{"killed and cut off", true, kill, (*lab.Agent).Start},
		{"frozen and cut off", true, freeze, thaw},
		{"frozen", false, freeze, thaw},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newTrial(t, 3)
			node := f.nodes[0]
			f.start("node-1", "keep", "one", "bare", "pinned")
			begun := now(t)
			if c.cut {
				f.do(node.Host.Cut())
			}
			f.do(c.fail(node))
			failed := now(t)
			for _, name := range []string{"one", "bare"} {
				f.endsBy(name, failed+quickPermit+guardGrace)
			}
			if n := len(f.containers(node)); n < 2 {
				t.Errorf("the node runs %d containers; the guard should have left keep and pinned alone", n)
			}
			for _, name := range []string{"keep", "one", "bare"} {
				f.untilRuns(name, "!node-1")
			}
			f.do(c.mend(node))
			if c.cut {
				f.do(node.Host.Heal())
			}
			f.untilNode("node-1", corev1.ConditionTrue)
			f.untilTidy(node, 1) // pinned
			for _, name := range []string{"keep", "one", "bare"} {
				f.untilRuns(name, "!node-1")
			}
			f.untilRuns("pinned", "node-1")
			f.always("pinned", begun, now(t))
			for _, name := range []string{"one", "bare"} {
				f.always(name, begun, failed)
			}
			f.verdict(single...)
		})
	}
}

func kill(a *lab.Agent) error   { return a.Kill() }
func freeze(a *lab.Agent) error { return a.Freeze() }
func thaw(a *lab.Agent) error   { return a.Thaw() }

// What no single machine can survive: the agent and the guard both stand still within one permit. Then two live at once, as
// docs/node-loss.md says, which shows too that the verdict of these tests can be a bad one.
func TestAgentAndGuardFail(t *testing.T) {
	t.Parallel()
	f := newTrial(t, 3)
	node := f.nodes[0]
	f.start("node-1", "one")
	f.do(node.Host.Cut(), node.Freeze(), node.Guard.Freeze())
	f.untilRuns("one", "!node-1")
	moved := now(t)
	f.until("both live", func() (bool, string) {
		lives := f.read("one")
		return len(lives) == 2 && last(lives[0]) > moved && last(lives[1]) > moved, fmt.Sprint(lives)
	})
	if err := pulse.AtMostOne(f.read("one")); err == nil {
		t.Error("nobody has noticed that two live")
	}

	// The guard alone is enough, however late it is.
	f.do(node.Guard.Thaw())
	f.until("the old one has ended", func() (bool, string) {
		old := f.read("one")[0]
		return now(t)-last(old) > time.Second, fmt.Sprint(old)
	})
	f.do(node.Thaw(), node.Host.Heal())
	f.untilNode("node-1", corev1.ConditionTrue)
	f.untilTidy(node, 0)
	f.untilRuns("one", "!node-1")
}

// A guard that is killed leaves what runs alone until the deadline that it was armed with at most; started again it
// enforces that deadline, also when the agent is frozen meanwhile and nobody arms it. With both back the pod goes on.
func TestGuardIsKilled(t *testing.T) {
	t.Parallel()
	f := newTrial(t, 2)
	node := f.nodes[0]
	f.start("node-1", "keep", "one", "pinned")
	begun := now(t)

	// Alone: the agent says so, and ends what it can't arm a deadline for.
	f.do(node.Guard.Kill())
	killed := now(t)
	f.endsBy("one", killed+quickPermit+guardGrace)
	if first := f.read("one")[0]; last(first) < killed {
		t.Errorf("one ended before its guard did, at %s", last(first))
	}
	f.until("the pod says what to do", func() (bool, string) {
		out, err := f.master.Kubectl("describe", "pods", "-l", "app=one")
		return contains(out, "WaitingForPermit", "no skerry-guard answers", "systemctl enable --now skerry-guard.socket"), seen(out, err)
	})
	f.do(node.StartGuard())
	f.untilRuns("one", "node-1")

	// Killed, and at work again before the deadline, which it has from its file.
	f.do(node.Freeze(), node.Guard.Kill())
	frozen := now(t)
	f.do(node.StartGuard())
	f.endsBy("one", frozen+quickPermit+guardGrace)
	f.untilRuns("one", "node-2")
	f.do(node.Thaw())
	f.untilNode("node-1", corev1.ConditionTrue)
	f.untilRuns("one", "node-2")
	f.untilTidyAll(3)
	f.always("pinned", begun, now(t))
	f.verdict("one", "pinned")
}

// Without a guard nothing is started that needs one, and the pod says why and what to do; everything else runs.
func TestNoGuard(t *testing.T) {
	t.Parallel()
	f := &fleet{T: t, lab: newLab(t)}
	f.startMaster(quick...)
	socket := f.lab.Dir + "/no-guard"
	f.addNode("--guard", socket)
	f.waitReady(1)
	s := trialOf(f)
	for _, name := range []string{"keep", "bare", "pinned"} {
		s.apply(s.manifest(name, "node-1"))
	}
	s.untilRuns("keep", "node-1")
	s.untilRuns("pinned", "node-1") // which needs no permit
	var said string
	f.until("the pod says what to do", func() (bool, string) {
		out, err := f.master.Kubectl("describe", "pod", "bare")
		said = out
		return contains(out, "WaitingForPermit", "no skerry-guard answers at "+socket, "skerry-guard --socket "+socket), seen(out, err)
	})
	t.Logf("describe pod:\n%s", said)
	f.until("the node says so too", func() (bool, string) {
		out, err := f.master.Kubectl("get", "node", "node-1", "-o", `jsonpath={.status.conditions[?(@.type=="skerry.dev/GuardUnavailable")]}`)
		return contains(out, `"status":"True"`, "pods with partition policy stop are not started", "no skerry-guard answers"), seen(out, err)
	})
	t.Logf("describe node:\n%s", f.kubectl("describe", "node", "node-1"))
	if lives := s.read("bare"); len(lives) > 0 {
		t.Errorf("it was started all the same: %v", lives)
	}
	if guard, err := f.lab.Start("guard", s.nodes[0].Host, binaries+"/skerry-guard", "--socket", socket, "--state-dir", f.lab.Dir+"/guard", "--watchdog", ""); err != nil || !guard.Running() {
		t.Fatal(err)
	}
	s.untilRuns("bare", "node-1")
	s.verdict("bare", "pinned")
}
