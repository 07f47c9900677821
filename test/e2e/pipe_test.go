package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/test/lab"
)

// A broker that is killed and starts again at once costs nobody a pod. One that stays away costs no node, for it is the
// master's broker too; what must be single ends with its permit, on the node where it is, and goes on there when the
// broker is back.
func TestBrokerIsKilled(t *testing.T) {
	t.Parallel()
	f := &fleet{T: t, lab: newLab(t)}
	broker := f.startMosquitto()
	f.startMaster(append([]string{"--broker", "tcp://" + broker.Host.Address + ":1883"}, quick...)...)
	f.addNode()
	f.addNode()
	f.waitReady(2)
	s := trialOf(f)
	s.start("node-1", "keep", "one", "bare", "pinned")
	keep, uid := f.started(s.pods("keep")[0].Name), s.pods("one")[0].UID

	begun := now(t)
	s.do(broker.Kill())
	broker.start()
	f.until("the nodes are connected again", s.connections(s.nodes, 2))
	s.untilRuns("one", "node-1")
	if again := s.restarted("one", begun); len(again) > 1 {
		t.Errorf("one was started again %d times", len(again))
	}

	s.do(broker.Kill())
	killed := now(t)
	for _, name := range []string{"one", "bare"} {
		s.endsBy(name, killed+quickPermit+guardGrace)
	}
	s.pass(quickEnded + 2*time.Second) // long enough for a node to be lost, and for its pods to be replaced
	if n := len(s.containers(s.nodes[0])); n != 2 {
		t.Errorf("the node runs %d containers without its broker, want keep and pinned", n)
	}
	broker.start()
	for _, name := range []string{"keep", "one", "bare", "pinned"} {
		s.untilRuns(name, "node-1")
	}
	if p := s.pods("one")[0]; p.UID != uid {
		t.Errorf("the pod was replaced though its node was never lost: %s", describe([]corev1.Pod{p}))
	}
	if now := f.started(s.pods("keep")[0].Name); now != keep {
		t.Errorf("the container was %s and is %s", keep, now)
	}
	if reasons := s.reasons(); reasons["NodeNotReady"] > 0 {
		t.Errorf("nodes were lost: %v", reasons)
	}
	s.always("pinned", begun, now(t))
	s.verdict(single...)
}

// A master that is killed while pods move forgets none of them, and starts none twice: what an earlier master may have
// permitted is waited out.
func TestMasterIsKilledWhilePodsMove(t *testing.T) {
	t.Parallel()
	f := newTrial(t, 3)
	f.start("node-1", "keep", "one", "bare", "pinned")
	cut := now(t)
	f.do(f.nodes[0].Host.Cut())
	// What may run twice moves at once; what must be single waits for its slot.
	f.until("the first pod moves", func() (bool, string) {
		pods, err := f.api.Pods("app=keep")
		return slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName != "node-1" }), seen(describe(pods), err)
	})
	killed := now(t)
	f.do(f.master.Kill(), f.master.Start())
	for _, name := range []string{"keep", "one", "bare"} {
		f.untilRuns(name, "!node-1")
	}
	for _, name := range []string{"one", "bare"} {
		for _, at := range f.restarted(name, cut) {
			if at < killed+quickEnded {
				t.Errorf("%s was started %s after the new master, which can't know yet that no other one lives", name, at-killed)
			}
		}
	}
	f.do(f.nodes[0].Host.Heal())
	f.untilNode("node-1", corev1.ConditionTrue)
	f.untilRuns("pinned", "node-1")
	f.always("pinned", cut, now(t))
	f.untilTidyAll(4)
	f.verdict(single...)
}

// Twenty nodes whose agents are killed and started at once, as by an upgrade: none is lost, none is suspect for long, and
// each connects once. So it is when the master is what is killed.
func TestAgentsRestartAtOnce(t *testing.T) {
	t.Parallel()
	const count = 20
	f := &fleet{T: t, lab: newLab(t)}
	f.startMaster("--heartbeat-interval=2s", "--node-timeout=15s", "--suspect-timeout=8s")
	f.token = f.newToken("--uses", "0")
	for range count {
		f.addFake()
	}
	f.waitReady(count)
	s := trialOf(f)
	s.kubectl("create", "deployment", "web", "--image="+probe, "--replicas=40")
	s.untilPrints("40", "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
	uids := func() string {
		pods := s.pods("web")
		slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
		return describe(pods)
	}
	before := uids()

	s.each(func(a *lab.Agent) error { return a.Kill() })
	s.each(func(a *lab.Agent) error { return a.Start() })
	f.until("each is connected", s.connections(s.nodes, 1))
	f.until("none is suspect", s.noneSuspect)
	f.waitReady(count)

	s.do(s.master.Kill(), s.master.Start())
	f.until("each is connected again", s.connections(s.nodes, 2))
	f.until("none is suspect", s.noneSuspect)
	f.waitReady(count)
	if after := uids(); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
	reasons := s.reasons()
	if reasons["NodeNotReady"] > 0 || reasons["EvictionsPaused"] > 0 {
		t.Errorf("nodes were lost: %v", reasons)
	}
	sum, most := 0, 0
	for _, n := range s.nodes {
		connected, err := s.connected(n)
		s.do(err)
		sum, most = sum+connected, max(most, connected)
	}
	t.Logf("events: %v; connections since the agents' restart: %d in all, at most %d of one", reasons, sum, most)
	if most > 4 {
		t.Errorf("one node connected %d times", most)
	}
}

// addFake adds a node whose containers exist on paper, without network or guard.
func (f *fleet) addFake() {
	f.Helper()
	agent, err := f.lab.StartAgent(f.host(fmt.Sprintf("node-%d", len(f.nodes)+1)), f.token, "--engine", "fake")
	if err != nil {
		f.Fatal(err)
	}
	f.nodes = append(f.nodes, agent)
}

// each does something with all nodes at once, as far as the lab can.
func (t *trial) each(do func(*lab.Agent) error) {
	t.Helper()
	for _, n := range t.nodes {
		t.do(do(n))
	}
}

func (t *trial) noneSuspect() (bool, string) {
	nodes, err := t.api.Nodes()
	var suspects []string
	for _, n := range nodes {
		for _, c := range n.Status.Conditions {
			if c.Type == "Suspect" && c.Status == corev1.ConditionTrue {
				suspects = append(suspects, n.Name)
			}
		}
	}
	return err == nil && len(suspects) == 0, seen(strings.Join(suspects, " "), err)
}

var connectionsTotal = regexp.MustCompile(`(?m)^skerry_bus_connections_total (\d+)$`)

// connected is how often the agent has connected in its run.
func (t *trial) connected(n *lab.Agent) (int, error) {
	out, err := n.Host.Command("curl", "-s", "--max-time", "5", "http://127.0.0.1:9641/metrics").Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s for its metrics: %w", n.Host.Name, err)
	}
	found := connectionsTotal.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("%s does not count its connections", n.Host.Name)
	}
	return strconv.Atoi(string(found[1]))
}

// connections checks that all nodes have connected so often, and are.
func (t *trial) connections(nodes []*lab.Agent, least int) func() (bool, string) {
	return func() (bool, string) {
		for _, n := range nodes {
			if count, err := t.connected(n); err != nil || count < least {
				return false, fmt.Sprintf("%s: %d, %v", n.Host.Name, count, err)
			}
		}
		return true, ""
	}
}
