package sim

import (
	"context"
	"strings"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/plan"
	"github.com/skerry-edge/skerry/edgeagent/reconcile"
)

// guardRestart is how long a guard's process is gone at most, when it has crashed: its unit starts another after 100 ms.
const guardRestart = time.Second

// guarded is what the guard of a machine has acknowledged: until when what it guards may run.
type guarded struct {
	armed    bool
	deadline time.Duration // by the boot clock
	since    time.Duration // when a process of the guard crashed, by the right clock
}

// guardOf is the machine's guard as one process of the agent uses it.
type guardOf struct {
	reconcile.Guard
	a *agent
}

// Arm implements reconcile.Guard.
func (g guardOf) Arm(ctx context.Context, deadline time.Duration) error {
	return g.a.touch("arm the guard", func() error {
		err := g.Guard.Arm(ctx, deadline)
		if err == nil {
			g.a.node.guarded.armed, g.a.node.guarded.deadline = true, deadline
		}
		return err
	})
}

// Disarm implements reconcile.Guard.
func (g guardOf) Disarm(ctx context.Context) error {
	return g.a.touch("disarm the guard", func() error {
		err := g.Guard.Disarm(ctx)
		if err == nil {
			g.a.node.guarded.armed = false
		}
		return err
	})
}

// checkGuardedStart: what must be single starts only in the group that the guard ends, and while the guard is armed. What can
// run on its node only needs neither.
func (w *World) checkGuardedStart(n *node, spec engine.Spec) {
	p := w.singles.pods[spec.Labels[engine.LabelPodUID]]
	if p == nil || p.pinned {
		return
	}
	if !strings.HasPrefix(spec.Cgroup, plan.GuardedCgroup+"/") {
		w.fail("%s starts %s of pod %s outside the group that is guarded, in %q", n.who(), spec.ID, p.name, spec.Cgroup)
	}
	if _, armed := n.engine.Guard().State(); !armed {
		w.fail("%s starts %s of pod %s, and the guard is not armed", n.who(), spec.ID, p.name)
	}
}

// checkGuarded: nothing that is guarded runs after the deadline that the guard has acknowledged.
func (w *World) checkGuarded(n *node) {
	now := n.machine.now().Boot
	for _, i := range n.instances() {
		switch g := n.guarded; {
		case i.p.pinned, w.now < g.since+guardRestart+10*time.Millisecond:
		case !g.armed:
			w.fail("%s runs %s, and its guard is not armed", n.who(), i.id)
		case now > g.deadline+time.Millisecond:
			w.fail("%s runs %s, and its guard was to end that %s ago", n.who(), i.id, now-g.deadline)
		}
	}
}

// guardCrashes ends the guard's process; another one goes on with its state.
func (n *node) guardCrashes() {
	w, g := n.w, n.engine.Guard()
	back := w.between(100*time.Millisecond, guardRestart)
	w.log(n.who(), "GUARD CRASHES, back in %s", back)
	n.guarded.since = w.now
	g.Crash()
	w.after(back, func() {
		g.Restart(w.options.Broken.GuardForgets)
		for _, m := range w.machines() { // it may have another name by now
			if m.engine.Guard() == g {
				m.counted = false
				m.ticker.wake()
			}
		}
	})
}

// guardAway lets the guard answer nothing for a while. It does what it was told.
func (n *node) guardAway(d time.Duration) {
	n.w.log(n.who(), "GUARD AWAY for %s", d)
	g := n.engine.Guard()
	g.SetAway(true)
	n.health.engine = max(n.health.engine, n.w.now+d)
	n.w.after(d, func() { g.SetAway(false) })
}
