package e2e

import (
	"strings"
	"testing"
)

// A node whose packets all vanish is noticed; its bare pod and its Deployment's pods run elsewhere. When it is
// back, it stops its old copies and is Ready, and nothing moves again.
func TestNodeIsCutOff(t *testing.T) {
	f := newFleet(t, 3, quick...)
	f.run("single", "sleep")
	f.apply(deployment("web", 3))
	f.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
	lost := f.node(f.field("pod", "single", ".spec.nodeName"))
	old := f.field("pod", "single", ".metadata.uid")

	if err := lost.Host.Cut(); err != nil {
		t.Fatal(err)
	}
	f.untilAllRunElsewhere(4, lost.Host.Name)
	if now := f.field("pod", "single", ".metadata.uid"); now == old {
		t.Error("the moved pod has its old uid")
	}
	f.untilPrints("Unknown", "get", "node", lost.Host.Name, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	if taints := f.field("node", lost.Host.Name, ".spec.taints[*].key"); !strings.Contains(taints, "node.kubernetes.io/unreachable") {
		t.Errorf("the lost node has the taints %q", taints)
	}
	tasks, err := lost.Tasks()
	if err != nil || len(tasks) == 0 {
		t.Errorf("the node that is cut off runs %d containers (%v); it should go on", len(tasks), err)
	}

	uids := f.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
	if err := lost.Host.Heal(); err != nil {
		t.Fatal(err)
	}
	f.until("the old copies are stopped", func() (bool, string) {
		tasks, err := lost.Tasks()
		return len(tasks) == 0, seen(strings.Join(tasks, " "), err)
	})
	f.waitReady(3)
	f.untilPrints("", "get", "node", lost.Host.Name, "-o", "jsonpath={.spec.taints}")
	if now := f.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"); now != uids {
		t.Errorf("after the node came back the pods changed from %s to %s", uids, now)
	}
}

// A device that loses power: agent and containers are gone at once. The broker sends the agent's will, so the
// workload moves without waiting for the whole node-timeout.
func TestNodeLosesPower(t *testing.T) {
	f := newFleet(t, 2, "--heartbeat-interval=1s", "--node-timeout=50s", "--suspect-timeout=2s")
	lost := f.node(f.run("single", "sleep"))
	if err := lost.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := lost.EndContainers(); err != nil {
		t.Fatal(err)
	}
	f.untilAllRunElsewhere(1, lost.Host.Name)
	events := f.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")
	if !strings.Contains(events, "Suspect") {
		t.Errorf("no event says that the node was suspected: %s", events)
	}
}

// A node that is off comes back without its master: what it ran runs again from its own disk.
func TestRebootWhileOffline(t *testing.T) {
	f := newFleet(t, 1)
	node := f.node(f.run("lonely", "sleep"))
	if err := node.Host.Cut(); err != nil {
		t.Fatal(err)
	}
	if err := node.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := node.EndContainers(); err != nil {
		t.Fatal(err)
	}
	f.until("nothing runs", func() (bool, string) {
		tasks, err := node.Tasks()
		return err == nil && len(tasks) == 0, seen(strings.Join(tasks, " "), err)
	})
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	f.until("the pod runs again", func() (bool, string) {
		tasks, err := node.Tasks()
		return len(tasks) == 1, seen(strings.Join(tasks, " "), err)
	})
}

// untilAllRunElsewhere waits until there are count pods, all running and none on the node.
func (f *fleet) untilAllRunElsewhere(count int, node string) {
	f.Helper()
	f.until("all pods run elsewhere", func() (bool, string) {
		out, err := f.master.Kubectl("get", "pods", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.phase}@{.spec.nodeName} {end}`)
		pods := strings.Fields(out)
		good := 0
		for _, pod := range pods {
			if strings.Contains(pod, "=Running@") && !strings.HasSuffix(pod, "@"+node) {
				good++
			}
		}
		return good == count && len(pods) == count, seen(out, err)
	})
}

// deployment is a manifest of a Deployment of the probe image.
func deployment(name string, replicas int) string {
	return strings.NewReplacer("NAME", name, "REPLICAS", string(rune('0'+replicas)), "IMAGE", probe).Replace(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "IMAGE", args: [sleep]}]
`)
}
