package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/test/pulse"
)

// A link that is away for five intervals, which is longer than the permit, and then for sixty: each time what must be
// single has ended by its deadline on the node that is cut off, and runs elsewhere; what may run twice goes on there until
// the link is back; what is pinned goes on for good. Nothing stays Terminating.
func TestLinkIsCut(t *testing.T) {
	t.Parallel()
	f := newTrial(t, 3)
	f.start("node-1", "keep", "one", "bare", "pinned")
	for _, length := range []time.Duration{5 * time.Second, 60 * time.Second} {
		from := f.pods("one")[0].Spec.NodeName
		lost := f.node(from)
		f.until("node "+from+" may be lost", func() (bool, string) { // its pods have moved there from another one
			status, err := f.nodeReady(from)
			return status == corev1.ConditionTrue, seen(string(status), err)
		})
		stays := map[string]bool{} // that are not on the node, and not concerned
		for _, name := range []string{"keep", "bare", "pinned"} {
			stays[name] = f.pods(name)[0].Spec.NodeName != from
		}
		before := len(f.containers(lost))
		cut := now(t)
		f.do(lost.Host.Cut())
		f.pass(length)
		deadline := cut + quickPermit + guardGrace
		for _, name := range []string{"one", "bare"} {
			if !stays[name] {
				lives := f.read(name)
				first := slices.IndexFunc(lives, func(l pulse.Life) bool { return l.Beats[0] <= cut && last(l) >= cut-time.Second })
				if first < 0 {
					t.Fatalf("%s did not live when the link was cut: %v", name, lives)
				}
				if end := last(lives[first]); end > deadline {
					t.Errorf("%s lived until %s after the cut, %s too long", name, end-cut, end-deadline)
				}
			}
		}
		if length > quickEnded+5*time.Second {
			f.untilRuns("one", "!"+from)
			f.untilRuns("keep", "!"+from)
			// What may run twice does, and what is pinned goes on.
			if after := len(f.containers(lost)); after == 0 || after > before {
				t.Errorf("the node that is cut off runs %d containers, before it were %d", after, before)
			}
			describes(f, from, "a node that is cut off")
		}
		f.do(lost.Host.Heal())
		f.untilNode(from, corev1.ConditionTrue)
		for name, stay := range stays {
			where := "node-1"
			if name != "pinned" {
				where = f.settled(name)
			}
			f.untilRuns(name, where)
			if again := f.restartedSince(name, cut); stay && len(again) > 0 {
				t.Errorf("%s was not on %s, and was started again: %v", name, from, again)
			}
		}
		f.untilRuns("one", f.settled("one"))
	}
	f.always("pinned", f.read("pinned")[0].Beats[0], now(t))
	f.untilTidyAll(4)
	f.verdict(single...)
}

// Packets that vanish in one direction alone: the node's heartbeats get out and no grant gets in, or the other way
// round. In both cases what must be single ends by its deadline and then runs elsewhere.
func TestLossInOneDirection(t *testing.T) {
	t.Parallel()
	f := newTrial(t, 3)
	f.start("node-1", "keep", "one", "bare", "pinned")
	for _, chain := range []string{"INPUT", "OUTPUT"} {
		from := f.settled("one")
		lost := f.node(from)
		rule := func(do string) {
			t.Helper()
			out, err := lost.Host.Command("iptables", "-w", do, chain, "-i", "eth0", "-j", "DROP").CombinedOutput()
			if chain == "OUTPUT" {
				out, err = lost.Host.Command("iptables", "-w", do, chain, "-o", "eth0", "-j", "DROP").CombinedOutput()
			}
			if err != nil {
				t.Fatalf("iptables: %v: %s", err, out)
			}
		}
		cut := now(t)
		rule("-I")
		f.untilRuns("one", "!"+from)
		f.untilRuns("keep", "!"+from)
		f.untilNode(from, corev1.ConditionUnknown)
		for _, life := range f.read("one") {
			if life.Beats[0] < cut && last(life) > cut+quickPermit+guardGrace {
				t.Errorf("%s: it lived for %s after %s was closed", life, last(life)-cut, chain)
			}
		}
		rule("-D")
		f.untilNode(from, corev1.ConditionTrue)
	}
	for _, name := range []string{"keep", "one", "bare"} {
		f.untilRuns(name, f.settled(name))
	}
	f.untilRuns("pinned", "node-1")
	f.always("pinned", f.read("pinned")[0].Beats[0], now(t))
	f.untilTidyAll(4)
	f.verdict(single...)
}

// A link of half a second and 4 kB/s in each direction: with intervals that leave room for it no node is lost, and what
// must be single lives all the time, also while a pod comes and its log is read.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	f := &fleet{T: t, lab: newLab(t)}
	broker := f.startMosquitto()
	slow := f.host("slow")
	f.startMaster("--broker", "tcp://"+broker.Host.Address+":1883", "--heartbeat-interval=2s", "--node-timeout=10s", "--suspect-timeout=5s")
	link := newLink(t, slow, broker.Host, 500*time.Millisecond, 4000)
	f.addNode("--broker", "tcp://"+link.address)
	f.waitReady(1)
	s := trialOf(f)
	s.start("node-1", "keep", "one", "bare", "pinned")
	begun := now(t)
	f.run("later", "lines", "5")
	f.until("the log is there", func() (bool, string) {
		out, err := f.master.Kubectl("logs", "later")
		return err == nil && len(out) > 0, seen(out, err)
	})
	s.pass(15*time.Second - (now(t) - begun))
	for reason, n := range s.reasons() {
		if slices.Contains([]string{"NodeNotReady", "Suspect", "NodeFlapping"}, reason) {
			t.Errorf("%d events %s", n, reason)
		}
	}
	for _, name := range single {
		s.always(name, begun, now(t))
		if again := s.restarted(name, begun); len(again) > 0 {
			t.Errorf("%s was started again: %v", name, again)
		}
	}
	if link.carried() < 4000 {
		t.Errorf("only %d bytes went over the slow link: the test looks in the wrong place", link.carried())
	}
	s.verdict(single...)
}

// settled waits until a workload has one pod that is bound, and returns its node.
func (t *trial) settled(name string) (node string) {
	t.Helper()
	t.until(name+" has a node", func() (bool, string) {
		pods, err := t.api.Pods("app=" + name)
		if err != nil || len(pods) != 1 {
			return false, seen(describe(pods), err)
		}
		node = pods[0].Spec.NodeName
		return node != "" && pods[0].DeletionTimestamp == nil, describe(pods)
	})
	return node
}

// restartedSince is restarted; none of what doesn't write it down.
func (t *trial) restartedSince(name string, since time.Duration) []time.Duration {
	t.Helper()
	if name == "keep" {
		return nil
	}
	return t.restarted(name, since)
}

// untilTidyAll waits until the nodes run count containers in all.
func (t *trial) untilTidyAll(count int) {
	t.Helper()
	t.until(fmt.Sprintf("%d containers run in all", count), func() (bool, string) {
		sum, each := 0, ""
		for _, n := range t.nodes {
			tasks, err := n.Tasks()
			if err != nil {
				return false, err.Error()
			}
			sum += len(tasks)
			each += fmt.Sprintf("%s %d ", n.Host.Name, len(tasks))
		}
		return sum == count, each
	})
}

func last(l pulse.Life) time.Duration { return l.Beats[len(l.Beats)-1] }
