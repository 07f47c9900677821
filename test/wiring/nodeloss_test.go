package wiring

import (
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/agent"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/server"
)

// condition is a node's condition as the API has it; zero when there is none.
func (w *world) condition(node string, kind corev1.NodeConditionType) corev1.NodeCondition {
	var n corev1.Node
	w.call("GET", "/api/v1/nodes/"+node, nil, &n)
	if c := resource.NodeCondition(&n, kind); c != nil {
		return *c
	}
	return corev1.NodeCondition{}
}

// When two of three nodes are silent their pods stay: conditions, Events and metrics say so, and until when; when one
// returns the other's pod is moved.
func TestTooManyNodesAreSilent(t *testing.T) {
	w := newWorld(t)
	w.config.MassFailureWait = time.Hour
	d := w.daemon("master")
	s, err := server.New(t.Context(), w.config, d)
	if err != nil {
		t.Fatal(err)
	}
	w.run(s.Run)
	w.readKubeconfig()
	stops := map[string]func(){}
	for _, name := range []string{"node-1", "node-2", "node-3"} {
		_, stops[name] = w.startAgent(name, nil)
		w.until(name+" is Ready", func() bool { return w.ready(name) })
	}
	pods := map[string]string{} // by node
	for _, pod := range []string{"a", "b", "c"} {
		w.runPod(pod)
		w.until(pod+" runs", func() bool { return w.running(pod) })
		p, _ := w.pod(pod)
		pods[p.Spec.NodeName] = pod
	}
	if len(pods) != 3 {
		t.Fatalf("the pods are on %v", pods)
	}
	var stopping sync.WaitGroup // at once, so that neither is lost while the other is heard
	for _, name := range []string{"node-1", "node-2"} {
		stopping.Go(stops[name])
	}
	stopping.Wait()
	for _, name := range []string{"node-1", "node-2"} {
		w.until("evictions from "+name+" are paused", func() bool {
			return w.condition(name, resource.ConditionEvictionPaused).Status == corev1.ConditionTrue
		})
		c := w.condition(name, resource.ConditionEvictionPaused)
		if c.Reason != "MassFailure" || !strings.HasPrefix(c.Message, "2 of 3 nodes are silent: ") {
			t.Errorf("%s: %+v", name, c)
		}
	}
	var events corev1.EventList
	w.call("GET", "/api/v1/events", nil, &events)
	told := 0
	for _, e := range events.Items {
		if e.Reason == "EvictionsPaused" && strings.Contains(e.Message, " at the latest") {
			told++
		}
	}
	if told != 2 {
		t.Errorf("%d Events say that evictions are paused", told)
	}
	w.until("the metrics say so", func() bool {
		got := values(t, d.Registry)
		return got["skerry_nodes_evictions_paused"] == 2 && got["skerry_nodes{state=lost}"] == 2 && got["skerry_nodes{state=ready}"] == 1 &&
			got["skerry_node_transitions_total{from=suspect,to=lost}"]+got["skerry_node_transitions_total{from=ready,to=lost}"] == 2
	})
	if p, ok := w.pod(pods["node-2"]); !ok || p.Spec.NodeName != "node-2" {
		t.Errorf("the pod of node-2 is on %q", p.Spec.NodeName)
	}

	w.startAgent("node-1", func(c *agent.Config) { c.Join, c.NodeName = "", "" })
	w.until("the pod of node-2 is moved", func() bool {
		p, ok := w.pod(pods["node-2"])
		return ok && p.Spec.NodeName != "node-2" && p.Status.Phase == corev1.PodRunning
	})
	w.until("the pause is over", func() bool {
		got := values(t, d.Registry)
		return got["skerry_nodes_evictions_paused"] == 0 && got["skerry_node_evictions_total{outcome=moved}"] == 1
	})
	if c := w.condition("node-2", resource.ConditionEvictionPaused); c.Reason != "FewerSilent" {
		t.Errorf("%+v", c)
	}
}
