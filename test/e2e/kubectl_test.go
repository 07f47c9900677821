package e2e

import (
	"bufio"
	"strings"
	"testing"
)

// A user's first hour with edgectl: each command does what it says, and prints what kubectl prints.
func TestEverydayCommands(t *testing.T) {
	f := newFleet(t, 2)
	contains := func(out string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing from:\n%s", want, out)
			}
		}
	}
	contains(f.kubectl("version"), "Client Version", "Server Version")
	contains(f.kubectl("cluster-info"), "is running at")
	contains(f.kubectl("api-resources"), "deployments", "deploy", "apps/v1", "pods")
	contains(f.kubectl("explain", "pod.spec.containers.image"), "FIELD: image", "Container image name")
	contains(f.kubectl("get", "nodes", "-o", "wide"), "node-1", "Ready", "containerd://")
	contains(f.kubectl("describe", "node", "node-1"), "Capacity", "Ready", "Allocated resources")
	contains(f.kubectl("get", "namespaces"), "default", "kube-system", "Active")

	contains(f.apply(deployment("web", 2)), "deployment.apps/web created")
	contains(f.apply(deployment("web", 2)), "deployment.apps/web unchanged")
	contains(f.kubectl("rollout", "status", "deployment/web", "--timeout=60s"), "successfully rolled out")
	contains(f.kubectl("get", "all"), "pod/web-", "deployment.apps/web", "replicaset.apps/web-", "2/2")
	contains(f.kubectl("describe", "deployment", "web"), "ScalingReplicaSet", "2 available")

	contains(f.kubectl("scale", "deployment/web", "--replicas=3"), "scaled")
	f.untilPrints("3", "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
	contains(f.kubectl("set", "env", "deployment/web", "COLOUR=red"), "updated")
	f.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
	contains(f.kubectl("rollout", "history", "deployment/web"), "REVISION", "2")
	contains(f.kubectl("rollout", "undo", "deployment/web"), "rolled back")
	f.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
	if env := f.field("deployment", "web", ".spec.template.spec.containers[0].env"); env != "" {
		t.Errorf("after the undo the environment is %s", env)
	}

	contains(f.kubectl("label", "deployment/web", "tier=front"), "labeled")
	contains(f.kubectl("annotate", "deployment/web", "note=hello"), "annotated")
	contains(f.kubectl("patch", "deployment", "web", "--type=json", `-p=[{"op":"remove","path":"/metadata/annotations/note"}]`), "patched")
	contains(f.kubectl("get", "deployments", "-l", "tier=front", "-o", "name"), "deployment.apps/web")

	contains(f.kubectl("cordon", "node-1"), "cordoned")
	contains(f.kubectl("get", "node", "node-1"), "SchedulingDisabled")
	if node := f.run("elsewhere", "sleep"); node != "node-2" {
		t.Errorf("a pod was scheduled to %s although node-1 is cordoned", node)
	}
	contains(f.kubectl("uncordon", "node-1"), "uncordoned")

	contains(f.kubectl("wait", "--for=condition=Ready", "pod/elsewhere", "--timeout=30s"), "condition met")
	contains(f.kubectl("delete", "pod", "elsewhere", "--grace-period=1"), "deleted")
	contains(f.refused("", "get", "pod", "elsewhere"), `pods "elsewhere" not found`)
	contains(f.kubectl("delete", "deployment", "web"), "deleted")
	f.untilPrints("", "get", "pods,replicasets", "-o", "name")

	contains(f.kubectl("create", "namespace", "site"), "namespace/site created")
	f.kubectl("-n", "site", "create", "configmap", "c", "--from-literal=a=b")
	contains(f.kubectl("delete", "namespace", "site"), "deleted")
	contains(f.refused("", "-n", "site", "get", "configmap", "c"), "not found")
}

// A watch shows each change as a row, beginning with what there is.
func TestWatch(t *testing.T) {
	f := newFleet(t, 1)
	cmd := f.master.KubectlCommand("get", "pods", "-w")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	rows := bufio.NewScanner(out)
	f.kubectl("run", "seen", "--image="+probe, "--", "sleep")
	for _, want := range []string{"NAME", "Pending", "Running"} {
		found := false
		for !found && rows.Scan() {
			found = strings.Contains(rows.Text(), want)
		}
		if !found {
			t.Fatalf("the watch ended before a row with %s", want)
		}
	}
	f.kubectl("delete", "pod", "seen", "--grace-period=1")
	for rows.Scan() {
		if strings.Contains(rows.Text(), "Terminating") {
			return
		}
	}
	t.Error("the watch ended before the pod was Terminating")
}
