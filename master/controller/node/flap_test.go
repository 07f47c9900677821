package node_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/controller/node"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

// lose makes n1 lost and return, some times, a minute and a half each.
func (r *rig) lose(times int) (lines []string) {
	for range times {
		lines = append(lines, r.pass(31*second, "n2")...)
		lines = append(lines, r.pass(59*second, "n1", "n2")...)
	}
	return lines
}

const (
	prefers = "skerry.dev/flapping:PreferNoSchedule"
	forbids = "skerry.dev/flapping:NoSchedule"
)

// A node that is lost three times in ten minutes is avoided, one that is lost six times in thirty takes nothing, until
// it has been stable for ten.
func TestFlappingNode(t *testing.T) {
	r := newRig(t, "n1", "n2")
	r.lose(2)
	if got := taints(r.node("n1")); len(got) != 0 {
		t.Errorf("lost twice: %v", got)
	}
	lines := r.lose(1)
	wantLines(t, taints(r.node("n1")), prefers)
	if c := r.condition("n1", resource.ConditionFlapping); c.Status != corev1.ConditionTrue || c.Reason != "LostOften" ||
		c.Message != "Lost 3 times in the last 10m0s: other nodes are preferred until 2026-03-01T12:14:32Z unless it is lost again." {
		t.Errorf("%+v", c)
	}
	if !slices.Contains(lines, "event Warning NodeFlapping node n1: Node n1 is flapping. "+
		"Lost 3 times in the last 10m0s: other nodes are preferred until it has not been lost for 10m0s.") {
		t.Errorf("no event: %v", lines)
	}
	r.lose(3)
	wantLines(t, taints(r.node("n1")), forbids)
	c := r.condition("n1", resource.ConditionFlapping)
	if c.Reason != "LostTooOften" || !strings.HasPrefix(c.Message, "Lost 6 times in the last 30m0s: it takes no new pods until ") {
		t.Errorf("%+v", c)
	}
	r.pass(9*time.Minute, "n1", "n2")
	wantLines(t, taints(r.node("n1")), forbids)
	lines = r.pass(time.Minute, "n1", "n2")
	wantLines(t, lines,
		"event Normal NodeStable node n1: Node n1 is taken for stable again. Not lost for 10m0s.",
		"update nodes n1: alive")
	if got := taints(r.node("n1")); len(got) != 0 {
		t.Errorf("stable: %v", got)
	}
	r.lose(2)
	if got := taints(r.node("n1")); len(got) != 0 {
		t.Errorf("what was before it was stable counts: %v", got)
	}
}

// Losses that are far apart don't count.
func TestRareLosses(t *testing.T) {
	r := newRig(t, "n1", "n2")
	for range 8 {
		r.lose(1)
		r.pass(4*time.Minute, "n1", "n2")
	}
	if got := taints(r.node("n1")); slices.Contains(got, prefers) {
		t.Errorf("lost every 5.5 minutes: %v", got)
	}
}

// A master that starts gives a node that is tainted its full time to be stable, and then takes the taint off.
func TestFlappingAfterAStart(t *testing.T) {
	r := newRig(t, "n1", "n2")
	r.lose(3)
	w := plantest.New(t)
	object := r.node("n1")
	w.Put(object)
	w.Add(node.New(config(w.Now)))
	r = &rig{World: w, seen: map[string]resource.Seen{}}
	r.link(true)
	r.pass(second, "n1")
	wantLines(t, taints(r.node("n1")), prefers)
	r.pass(10*time.Minute-2*second, "n1")
	wantLines(t, taints(r.node("n1")), prefers)
	r.pass(2*second, "n1")
	if got := taints(r.node("n1")); len(got) != 0 || r.condition("n1", resource.ConditionFlapping).Status != corev1.ConditionFalse {
		t.Errorf("%v", got)
	}
}

// The key of the taint is the controller's own: what a user puts there goes, and nothing breaks.
func TestAUsersFlappingTaint(t *testing.T) {
	r := newRig(t, "n1", "n2")
	plantest.Update(r.World, resource.Nodes, "", "n1", func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: resource.TaintFlapping, Effect: corev1.TaintEffectNoExecute})
	})
	r.Settle()
	if got := taints(r.node("n1")); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// A node with a metered link has twice the time for everything, also after its label is gone until it surely knows.
func TestMeteredNode(t *testing.T) {
	r := newRig(t, "n1", "n2")
	plantest.Update(r.World, resource.Nodes, "", "n1", func(n *corev1.Node) {
		n.Labels = map[string]string{resource.LabelLink: resource.LinkMetered}
	})
	r.pass(second, "n1", "n2")
	r.pass(59*second, "n2")
	if got := r.ready("n1")[0]; got != corev1.ConditionTrue {
		t.Errorf("before twice the time-out: %s", got)
	}
	r.pass(second, "n2")
	if got := r.ready("n1")[0]; got != corev1.ConditionUnknown {
		t.Errorf("after it: %s", got)
	}
	r.pass(second, "n1", "n2")
	r.will("n1")
	r.pass(29*second, "n2")
	if got := r.ready("n1")[0]; got != corev1.ConditionTrue {
		t.Errorf("before twice the suspect time-out: %s", got)
	}
	slow := r.seen["n1"]
	slow.Slow, slow.Online, slow.HeardBoot = true, true, r.Now.Boot
	r.write("n1", slow)
	plantest.Update(r.World, resource.Nodes, "", "n1", func(n *corev1.Node) { n.Labels = nil })
	r.Settle()
	r.pass(59*second, "n2")
	if got := r.ready("n1")[0]; got != corev1.ConditionTrue {
		t.Errorf("without the label, before it knows: %s", got)
	}
	r.pass(second, "n1", "n2")
	r.pass(30*second, "n2")
	if got := r.ready("n1")[0]; got != corev1.ConditionUnknown {
		t.Errorf("without the label: %s", got)
	}
}
