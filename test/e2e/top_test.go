package e2e

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
)

// What `kubectl top pod` shows is what containers do: a busy one uses about its limit, another holds what it has
// allocated. A node that has stopped to answer keeps nobody waiting for the others, and a warning names it.
func TestTopPod(t *testing.T) {
	f := newFleet(t, 2)
	onNode := func(name, node, args string, more string) string {
		return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {nodeName: %s, terminationGracePeriodSeconds: 1,
containers: [{name: main, image: "%s", args: [%s]%s}]}}`+"\n---\n", name, node, probe, args, more)
	}
	f.apply(onNode("busy", "node-1", "spin", ", resources: {limits: {cpu: 200m}}") + onNode("large", "node-1", `eat, "64"`, "") +
		onNode("far", "node-2", "sleep", ""))
	for _, pod := range []string{"busy", "large", "far"} {
		f.untilRunning(pod)
	}
	use := func(pod, what string) (resource.Quantity, string) {
		out, err := f.master.Kubectl("get", "pods.metrics.k8s.io", pod, "-o", "jsonpath={.containers[0].usage."+what+"}")
		q, parsed := resource.ParseQuantity(out)
		if err == nil {
			err = parsed
		}
		return q, seen(out, err)
	}
	f.until("busy uses about its limit", func() (bool, string) {
		cpu, out := use("busy", "cpu")
		if cpu.MilliValue() > 300 {
			t.Errorf("busy uses %s, with a limit of 200m", out)
		}
		return cpu.MilliValue() > 100, out
	})
	f.until("large holds what it has allocated", func() (bool, string) {
		memory, out := use("large", "memory")
		return memory.Value() > 60<<20 && memory.Value() < 80<<20, out
	})
	f.until("far is idle", func() (bool, string) {
		cpu, out := use("far", "cpu")
		return out != "" && strings.Trim(out, "0123456789nm") == "" && cpu.MilliValue() < 50, out
	})

	top := func() string {
		out, err := f.master.KubectlCommand("top", "pod").CombinedOutput()
		if err != nil {
			t.Errorf("top pod: %v", err)
		}
		return string(out)
	}
	if out := top(); !strings.Contains(out, "far") || strings.Contains(out, "Warning") {
		t.Errorf("top pod:\n%s", out)
	}
	if err := f.node("node-2").Freeze(); err != nil {
		t.Fatal(err)
	}
	defer f.node("node-2").Thaw()
	out := top()
	if strings.Contains(out, "far") || !strings.Contains(out, "busy") || !strings.Contains(out, "Warning: there are no metrics of node node-2: it has not answered within 3s") {
		t.Errorf("top pod while node-2 is frozen:\n%s", out)
	}
	if said := f.refused("", "top", "pod", "far"); !strings.Contains(said, "there are no metrics of pod far: node node-2") {
		t.Errorf("top pod far while node-2 is frozen: %s", said)
	}
}
