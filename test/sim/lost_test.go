package sim

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// fast are the settings of somebody who can't wait.
var fast = message.Settings{HeartbeatMillis: 1000, TimeoutMillis: 3000}

// need stops the test when an invariant is broken or a condition does not come in time.
func (w *World) need(t *testing.T, within time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	from := w.now
	if !w.RunUntil(within, holds) {
		t.Fatalf("seed %d: not within %s: %s (%v)\n%v\n%s", w.options.Seed, within, what, w.failure, w.amiss(), w.Tail(40))
	}
	return w.now - from
}

func (w *World) well() bool { return len(w.amiss()) == 0 }

// running are the pods that run and are Ready according to the store, on other nodes than one.
func (w *World) running(except string) int { return running(w, w.master.store.View(), except) }

func running(w *World, view change.View, except string) (count int) {
	for rec := range view.List(resource.Pods.Kind, "") {
		p := w.pod(rec)
		c := resource.PodCondition(p, corev1.PodReady)
		if p.Status.Phase == corev1.PodRunning && c != nil && c.Status == corev1.ConditionTrue && p.Spec.NodeName != except && p.DeletionTimestamp == nil {
			count++
		}
	}
	return count
}

func (w *World) is(node string, kind corev1.NodeConditionType) corev1.ConditionStatus {
	rec, ok := w.master.store.View().Get(resource.Nodes.Key("", node))
	if !ok {
		return ""
	}
	if c := resource.NodeCondition(w.nodeObject(rec), kind); c != nil {
		return c.Status
	}
	return ""
}

// alive are the containers that run on a node.
func (n *node) alive() (count int) {
	for _, c := range n.engine.Containers() {
		if c.State == engine.Running {
			count++
		}
	}
	return count
}

// three is a world of three nodes with a Deployment and a bare pod, one of which at least is on n1.
func three(t *testing.T, o Options) *World {
	t.Helper()
	o.Nodes = 3
	w := New(o)
	w.need(t, 10*time.Second, "three nodes are Ready", w.well)
	w.user.Deployment("web", 5)
	w.user.Pod("bare")
	w.need(t, 10*time.Second, "six pods run", func() bool { return w.well() && w.running("") == 6 })
	if w.nodes[0].alive() == 0 {
		t.Fatal("nothing runs on n1")
	}
	w.Run(w.between(0, 2*w.settings.Heartbeat())) // anywhere in an interval
	return w
}

// A node is lost without a word: it becomes Unknown at the node-timeout, its pods run elsewhere soon after, and
// when it returns it stops the old ones.
func TestANodeIsLost(t *testing.T) {
	for _, test := range []struct {
		settings message.Settings
		limit    time.Duration
	}{
		{message.Settings{}, 33 * time.Second},
		{fast, 4500 * time.Millisecond},
	} {
		longest := time.Duration(0)
		for seed := int64(1); seed <= 12; seed++ {
			w := three(t, Options{Seed: seed, Settings: test.settings})
			timeout, interval := w.settings.Timeout(), w.settings.Heartbeat()
			n1 := w.nodes[0]
			w.log("n1", "CUT without warning")
			w.bus.Cut("n1", true, true) // the packets are dropped: neither end notices
			cut := w.now

			unknown := w.need(t, timeout+time.Second, "n1 is Unknown", func() bool { return w.is("n1", corev1.NodeReady) == corev1.ConditionUnknown })
			if unknown < timeout-interval {
				t.Errorf("seed %d: n1 is given up %s after the cut, before %s", seed, unknown, timeout-interval)
			}
			w.need(t, test.limit-unknown, "six pods run elsewhere", func() bool { return w.running("n1") == 6 })
			longest = max(longest, w.now-cut)
			if n1.alive() == 0 {
				t.Errorf("seed %d: a node that is cut off stopped its pods", seed)
			}

			w.Run(time.Minute)
			w.log("n1", "HEALED")
			w.bus.Cut("n1", false, false)
			w.need(t, 2*interval+time.Second, "n1 is Ready", func() bool { return w.is("n1", corev1.NodeReady) == corev1.ConditionTrue })
			w.need(t, 2*interval+30*time.Second, "the old copies are gone", func() bool { return w.well() && n1.alive() == 0 })
		}
		t.Logf("cut → all pods run elsewhere: at most %s of %s", longest.Round(time.Millisecond), test.limit)
	}
}

// An agent that is killed leaves its will: its node is suspect at once and given up at the suspect-timeout.
func TestAnAgentIsKilled(t *testing.T) {
	const limit = 18 * time.Second
	longest := time.Duration(0)
	for seed := int64(1); seed <= 12; seed++ {
		w := three(t, Options{Seed: seed})
		w.log("n1", "KILLED")
		w.nodes[0].kill(0)
		killed := w.now
		w.need(t, time.Second, "n1 is suspect", func() bool { return w.is("n1", resource.ConditionSuspect) == corev1.ConditionTrue })
		if w.is("n1", corev1.NodeReady) != corev1.ConditionTrue {
			t.Errorf("seed %d: a will alone makes a node Unknown", seed)
		}
		w.need(t, limit-(w.now-killed), "six pods run elsewhere", func() bool { return w.running("n1") == 6 })
		longest = max(longest, w.now-killed)
		w.nodes[0].start()
		w.need(t, 40*time.Second, "n1 is back and has stopped the old copies", func() bool { return w.well() && w.nodes[0].alive() == 0 })
	}
	t.Logf("kill → all pods run elsewhere: at most %s of %s", longest.Round(time.Millisecond), limit)
}

// An agent that is killed and returns within the suspect-timeout costs nothing: nothing is moved or restarted.
func TestAnAgentReturnsInTime(t *testing.T) {
	w := three(t, Options{Seed: 1})
	starts, stops := w.starts(), w.stops()
	w.nodes[0].crash(12 * time.Second)
	w.Run(2 * time.Minute)
	if w.failure != nil || !w.well() || w.starts() != starts || w.stops() != stops || len(w.flips) > 0 {
		t.Errorf("%v %v: %d starts, %d stops, flips %v", w.failure, w.amiss(), w.starts()-starts, w.stops()-stops, w.flips)
	}
}

// A broker that dies without a word costs no node anything, however long after the last heartbeats it does, and
// whether or not the master finds out before the nodes' time is over.
func TestADeadBrokerCostsNoNode(t *testing.T) {
	for seed := int64(1); seed <= 12; seed++ {
		w := three(t, Options{Seed: seed})
		for _, d := range []time.Duration{18 * time.Second, 20 * time.Second, 22 * time.Second, 24 * time.Second, 26 * time.Second, time.Minute} {
			w.log("master", "CUT without warning")
			w.bus.Cut("master", true, true)
			w.hangs = w.now + d
			w.Run(d)
			w.log("master", "HEALED")
			w.bus.Cut("master", false, false)
			w.Run(time.Minute + w.between(0, 10*time.Second))
		}
		if w.failure != nil || !w.well() || len(w.flips) > 0 {
			t.Errorf("seed %d: %v %v: flips %v", seed, w.failure, w.amiss(), w.flips)
		}
	}
}

// Nor does a disk of the master's that hangs, so that what is heard of the nodes waits behind a write.
func TestASlowDiskCostsNoNode(t *testing.T) {
	for seed := int64(1); seed <= 4; seed++ {
		w := three(t, Options{Seed: seed})
		link := w.master.link
		step, until := link.step, w.now+50*time.Second
		w.hangs = until
		link.step = func(now clock.Now) (clock.Now, error) {
			if left := until - w.now; left > 0 {
				return now.Add(left), nil
			}
			return step(now)
		}
		w.Run(2 * time.Minute)
		if w.failure != nil || !w.well() || len(w.flips) > 0 {
			t.Errorf("seed %d: %v %v: flips %v", seed, w.failure, w.amiss(), w.flips)
		}
	}
}

// A node that reboots while nobody can be reached runs its pods again from its disk.
func TestARebootOffline(t *testing.T) {
	w := three(t, Options{Seed: 1, Embedded: true})
	n1 := w.nodes[0]
	before := n1.alive()
	w.master.crash(time.Hour, true)
	w.Run(time.Minute)
	n1.powerCut(5*time.Second, false, false)
	w.Run(5 * time.Second)
	if n1.alive() != 0 {
		t.Fatal("containers survive a power cut")
	}
	w.need(t, 2*time.Second, "the pods run again", func() bool { return n1.alive() == before })
}

// A status that is lost is in the store within one heartbeat interval.
func TestALostStatusShowsWithTheHeartbeats(t *testing.T) {
	for seed := int64(1); seed <= 8; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := three(t, Options{Seed: seed})
			n1 := w.nodes[0]
			for _, c := range n1.engine.Containers() {
				n1.engine.Kill(c.ID, 1)
			}
			n1.ticker.wake()
			w.weather = weather{loses: 1}
			w.Run(4 * time.Second)
			w.weather = weather{}
			if w.well() {
				t.Fatal("nothing was lost")
			}
			w.need(t, w.settings.Heartbeat()+time.Second, "the store says what the agent says", w.well)
		})
	}
}
