package node_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/controller/node"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

const wait = 5 * time.Minute

// names are n1 to nN, with two digits so that they sort.
func names(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("n%02d", i+1))
	}
	return out
}

// with puts an owned pod on each node.
func (r *rig) with(nodes ...string) *rig {
	for _, name := range nodes {
		r.Put(owned(bound("web-" + name + " node=" + name)))
	}
	r.Settle()
	return r
}

// left are the nodes whose pods are still there.
func (r *rig) left(nodes ...string) (out []string) {
	for _, name := range nodes {
		if r.Has(resource.Pods, "default", "web-"+name) {
			out = append(out, name)
		}
	}
	return out
}

func (r *rig) condition(name string, kind corev1.NodeConditionType) corev1.NodeCondition {
	if c := resource.NodeCondition(r.node(name), kind); c != nil {
		return *c
	}
	return corev1.NodeCondition{}
}

func wantLeft(t *testing.T, r *rig, nodes []string, want int, when string) {
	t.Helper()
	if got := r.left(nodes...); len(got) != want {
		t.Errorf("%s: pods are left on %v, want %d", when, got, want)
	}
}

// More than half of three or more nodes, or both of two, is a mass failure; one node alone is none.
func TestWhatIsAMassFailure(t *testing.T) {
	for _, c := range []struct {
		nodes, silent int
		paused        bool
	}{
		{2, 1, false}, {3, 1, false}, {3, 2, true}, {4, 2, false}, {4, 3, true}, {10, 5, false}, {10, 6, true}, {1, 1, false}, {2, 2, true},
	} {
		all := names(c.nodes)
		r := newRigWith(t, wait, all...).with(all...)
		r.pass(31*second, all[c.silent:]...)
		paused := r.condition(all[0], resource.ConditionEvictionPaused).Status == corev1.ConditionTrue
		if paused != c.paused {
			t.Errorf("%d of %d: paused %v", c.silent, c.nodes, paused)
		}
		if c.nodes > c.silent && len(r.left(all[:c.silent]...)) > 0 != c.paused {
			t.Errorf("%d of %d: pods left on %v", c.silent, c.nodes, r.left(all...))
		}
		if got := r.condition(all[0], corev1.NodeReady).Status; got != corev1.ConditionUnknown {
			t.Errorf("%d of %d: Ready=%s: readiness waits for nothing", c.silent, c.nodes, got)
		}
	}
}

// While it lasts the pods stay and everything says so; when fewer are silent, and those that are had the time to return,
// it ends for all of them.
func TestPauseEndsWhenNodesReturn(t *testing.T) {
	all := names(5)
	r := newRigWith(t, wait, all...).with(all...)
	r.pass(29*second, all[3:]...)
	lines := r.pass(second, all[3:]...)
	wantLeft(t, r, all, 5, "at the time-out")
	c := r.condition("n01", resource.ConditionEvictionPaused)
	want := "3 of 5 nodes are silent: pods of lost nodes stay until fewer are, or until 2026-03-01T12:06:30Z at the latest; " +
		"then one node is evicted every 10s."
	if c.Status != corev1.ConditionTrue || c.Reason != "MassFailure" || c.Message != want {
		t.Errorf("%+v", c)
	}
	if !strings.Contains(strings.Join(lines, "\n"), "event Warning EvictionsPaused node n01: Node n01 is lost and keeps its pods. "+want) {
		t.Errorf("no event: %v", lines)
	}
	if p := resource.PodCondition(r.pod("web-n01"), corev1.PodReady); p.Status != corev1.ConditionFalse ||
		p.Message != "node n01 is lost: evictions are paused, see the node's condition EvictionPaused" {
		t.Errorf("%+v", p)
	}
	if more := r.pass(2*time.Minute, all[3:]...); len(more) != 0 {
		t.Errorf("it says more: %v", more)
	}
	// n03 returns: 2 of 5. The others have as long as a node may need for that: the back-off cap and one interval.
	r.pass(second, all[2:]...)
	r.pass(9*second, all[2:]...)
	wantLeft(t, r, all, 5, "after a return")
	r.pass(14*second, all[1:]...) // and n02
	wantLeft(t, r, all, 5, "while others may return")
	lines = r.pass(2*second, all[1:]...)
	wantLeft(t, r, all, 4, "when nobody else has returned")
	for name, reason := range map[string]string{"n01": "FewerSilent", "n02": "NodeReturned", "n03": "NodeReturned"} {
		if c := r.condition(name, resource.ConditionEvictionPaused); c.Status != corev1.ConditionFalse || c.Reason != reason {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if !strings.Contains(strings.Join(lines, "\n"), "event Normal EvictionsResumed node n01") {
		t.Errorf("no event: %v", lines)
	}
	if p := resource.PodCondition(r.pod("web-n03"), corev1.PodReady); p.Status != corev1.ConditionTrue {
		t.Errorf("%+v", p)
	}
}

// Nodes that return one after the other, as after a power cut, keep their pods all of them; and when too many fall silent
// again meanwhile, it is still the same failure.
func TestAllReturnFromAMassFailure(t *testing.T) {
	all := names(5)
	r := newRigWith(t, wait, all...).with(all...)
	r.pass(time.Minute, all[3:]...)
	r.pass(5*second, all[2:]...)  // 2 of 5 are silent
	r.pass(20*second, all[3:]...) // 3 of 5
	r.pass(10*second, all[2:]...) // 2
	r.pass(10*second, all[1:]...) // 1
	r.pass(2*time.Minute, all...) // none
	wantLeft(t, r, all, 5, "after all have returned")
	for _, name := range all[:3] {
		if c := r.condition(name, resource.ConditionEvictionPaused); c.Reason != "NodeReturned" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// After the wait one node after the other is evicted, the longest lost first; those are then gone for good and count
// for nothing: the rest is a cluster of its own, in which the next loss is an ordinary one.
func TestEvictionsAfterTheWait(t *testing.T) {
	all := names(10)
	r := newRigWith(t, wait, all...).with(all...)
	r.pass(5*second, all[1:]...) // n01 first
	r.pass(30*second, all[6:]...)
	r.pass(wait-6*second, all[6:]...)
	wantLeft(t, r, all, 10, "before the end of the wait")
	r.pass(2*second, all[6:]...)
	if got := r.left("n01", "n02"); len(got) != 1 || got[0] != "n02" {
		t.Errorf("at the end of the wait pods are left on %v", got)
	}
	for i := 2; i <= 6; i++ {
		r.pass(10*second, all[6:]...)
		wantLeft(t, r, all, 10-i, fmt.Sprintf("after %d turns", i))
	}
	if c := r.condition("n06", resource.ConditionEvictionPaused); c.Status != corev1.ConditionFalse || c.Reason != "WaitOver" {
		t.Errorf("%+v", c)
	}
	r.pass(time.Hour, all[6:]...)
	r.pass(31*second, all[7:]...)
	wantLeft(t, r, all, 3, "after an ordinary loss")
	if c := r.condition("n07", resource.ConditionEvictionPaused); c.Type != "" {
		t.Errorf("4 are left of which 1 is lost: %+v", c)
	}
}

// Nodes that were lost one by one, and long before, aren't part of what fails now; those of the last minutes are.
func TestLongLostNodesDoNotCount(t *testing.T) {
	all := names(10)
	r := newRigWith(t, wait, all...).with(all...)
	for i := 1; i <= 6; i++ { // one by one, ten minutes apart
		r.pass(10*time.Minute, all[i:]...)
	}
	wantLeft(t, r, all, 4, "one after the other")
	r.pass(31*second, all[7:]...)
	wantLeft(t, r, all, 3, "one more of four")

	r = newRigWith(t, wait, all...).with(all...)
	for i := 1; i <= 6; i++ { // thirty seconds apart: a cascade
		r.pass(30*second, all[i:]...)
	}
	r.pass(31*second, all[6:]...)
	wantLeft(t, r, all, 5, "a cascade stops at more than half")
}

// A master that starts doesn't count what an earlier one has given up and evicted; what it held back stays held.
func TestMassFailureAfterAStart(t *testing.T) {
	all := names(5)
	r := newRigWith(t, wait, all...).with(all...)
	for _, name := range all[:3] {
		plantest.Update(r.World, resource.Nodes, "", name, func(n *corev1.Node) {
			resource.NodeCondition(n, corev1.NodeReady).Status = corev1.ConditionUnknown
		})
	}
	again := func() *rig {
		w := plantest.New(t)
		for _, kind := range []*resource.Resource{resource.Nodes, resource.Pods} {
			for rec := range r.Store.View().List(kind.Kind, "") {
				w.Commit(change.Change{Key: rec.Key, Base: change.Any, Value: rec.Value})
			}
		}
		c := config(w.Now)
		c.MassFailureWait = wait
		w.Add(node.New(c))
		next := &rig{World: w, seen: map[string]resource.Seen{}}
		next.link(true)
		next.Settle()
		return next
	}
	evicted := again()
	evicted.pass(31*second, all[3:]...)
	wantLeft(t, evicted, all, 2, "those that were given up before")

	for _, name := range all[:3] {
		plantest.Update(r.World, resource.Nodes, "", name, func(n *corev1.Node) {
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: resource.ConditionEvictionPaused, Status: corev1.ConditionTrue})
		})
	}
	held := again()
	held.pass(29*second, all[3:]...)
	if c := held.condition("n01", resource.ConditionEvictionPaused); c.Status != corev1.ConditionTrue {
		t.Errorf("before anybody is lost: %+v", c)
	}
	held.pass(wait-second, all[3:]...)
	wantLeft(t, held, all, 5, "those that were held back")
	held.pass(time.Minute, all[3:]...)
	wantLeft(t, held, all, 2, "after the wait")
}

// The wait stands still while the master has no broker: nobody could come back.
func TestTheWaitNeedsABroker(t *testing.T) {
	all := names(3)
	r := newRigWith(t, wait, all...).with(all...)
	r.pass(31*second, "n03")
	r.pass(wait-10*second, "n03")
	r.link(false)
	r.pass(10 * time.Minute)
	r.link(true)
	r.pass(8*second, "n03")
	wantLeft(t, r, all, 3, "before the rest of the wait")
	r.pass(time.Minute, "n03")
	wantLeft(t, r, all, 1, "after it")
}

// Whoever is silent for however long, no pod is taken from a lost node while more than half of the nodes that are
// not long lost are, within the wait; and no node that stays lost keeps its pods for longer than the wait and one turn
// of each node.
func TestPausesHoldAndEnd(t *testing.T) {
	pauses, turns := 0, 0
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 7))
		all := names(3 + rng.IntN(5))
		r := newRigWith(t, time.Minute, all...).with(all...)
		silent := map[string]int{}
		lostFor := map[string]int{}
		for range 700 {
			if rng.IntN(60) == 0 { // a part of them is gone for some time
				share := rng.IntN(len(all) + 1)
				for _, i := range rng.Perm(len(all) - 1)[:min(share, len(all)-1)] {
					silent[all[i+1]] = 1 + rng.IntN(240)
				}
			}
			var alive []string
			for _, name := range all {
				if silent[name] > 0 {
					silent[name]--
				} else {
					alive = append(alive, name)
				}
			}
			before := map[string]bool{}
			for _, name := range r.left(all...) {
				before[name] = true
			}
			r.pass(second, alive...)
			members, silence := 0, 0
			gone := map[string]bool{}
			for _, name := range all {
				if lostFor[name]++; resource.NodeState(r.node(name)) != resource.NodeLost {
					lostFor[name] = 0
				}
				gone[name] = lostFor[name] > 60 || lostFor[name] > 0 && r.condition(name, resource.ConditionEvictionPaused).Reason == "WaitOver"
				if !gone[name] {
					members++
					if r.Now.Boot-r.seen[name].HeardBoot > 15*second {
						silence++
					}
				}
			}
			massive := members == 2 && silence == 2 || members > 2 && 2*silence > members
			for _, name := range all {
				n := r.node(name)
				if left := r.Has(resource.Pods, "default", "web-"+name); before[name] && !left && massive && !gone[name] {
					t.Fatalf("seed %d: %s lost its pod while %d of %d nodes were silent", seed, name, silence, members)
				}
				if c := r.condition(name, resource.ConditionEvictionPaused); c.LastTransitionTime.Time.Equal(r.Now.Wall) {
					switch c.Reason {
					case "MassFailure":
						pauses++
					case "WaitOver":
						turns++
					}
				}
				if resource.NodeConditionTrue(n, resource.ConditionEvictionPaused) && before[name] && !r.Has(resource.Pods, "default", "web-"+name) {
					t.Fatalf("seed %d: %s lost its pod while its evictions are paused", seed, name)
				}
				if lostFor[name] == 0 {
					if !r.Has(resource.Pods, "default", "web-"+name) {
						r.with(name)
					}
					continue
				}
				if lostFor[name] > 60+10*len(all)+2 && r.Has(resource.Pods, "default", "web-"+name) {
					t.Fatalf("seed %d: %s keeps its pod for %d s: %s", seed, name, lostFor[name], r.condition(name, resource.ConditionEvictionPaused).Message)
				}
			}
			if more, _ := r.Step(); len(more) != 0 {
				t.Fatalf("seed %d: planning again: %v", seed, more)
			}
		}
	}
	if pauses < 100 || turns < 10 {
		t.Errorf("only %d pauses of nodes and %d turns: this tests nothing", pauses, turns)
	}
}
