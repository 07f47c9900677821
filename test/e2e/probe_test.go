package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// nodeFiles lists files below a node's data directory.
func (f *fleet) nodeFiles(node, pattern string) []string {
	f.Helper()
	found, err := filepath.Glob(filepath.Join(f.lab.Dir, node, pattern))
	if err != nil {
		f.Fatal(err)
	}
	return found
}

// A container that fails its liveness probe is restarted, and an event says why.
func TestLivenessProbeRestarts(t *testing.T) {
	f := newFleet(t, 1)
	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: sick}, spec: {containers: [{name: a, image: "` + probe + `", args: [sleep],
		livenessProbe: {exec: {command: [/probe, check, file, /etc/hostname, "no such text"]}, periodSeconds: 1, failureThreshold: 2, terminationGracePeriodSeconds: 1}}]}}`)
	f.until("the container is restarted", func() (bool, string) {
		out, err := f.master.Kubectl("get", "pod", "sick", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
		return err == nil && out != "" && out != "0", seen(out, err)
	})
	f.until("an event says why", func() (bool, string) {
		out, err := f.master.Kubectl("get", "events")
		return strings.Contains(out, "Liveness probe failed") && strings.Contains(out, "failed liveness probe, will be restarted"), seen(out, err)
	})
}

// A pod is Ready while its readiness probe says so, and a rollout waits for that.
func TestReadinessProbeGates(t *testing.T) {
	f := newFleet(t, 1)
	f.kubectl("create", "configmap", "state", "--from-literal=ok=no")
	f.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{name: state, configMap: {name: state}}]
      containers:
      - name: a
        image: "` + probe + `"
        args: [serve, ":8080"]
        ports: [{name: web, containerPort: 8080}]
        volumeMounts: [{name: state, mountPath: /state}]
        startupProbe: {httpGet: {port: web}, periodSeconds: 1, failureThreshold: 30}
        livenessProbe: {tcpSocket: {port: web}, periodSeconds: 1}
        readinessProbe: {exec: {command: [/probe, check, file, /state/ok, "yes"]}, periodSeconds: 1, failureThreshold: 1}
`)
	f.untilPrints("Running true false", "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].status.phase} {.items[0].status.containerStatuses[0].started} {.items[0].status.containerStatuses[0].ready}")
	if out, err := f.master.Kubectl("rollout", "status", "deployment/web", "--timeout=2s"); err == nil {
		t.Errorf("the rollout is done though nothing is ready: %s", out)
	}
	f.kubectl("patch", "configmap", "state", "-p", `{"data":{"ok":"yes"}}`)
	f.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
	f.kubectl("patch", "configmap", "state", "-p", `{"data":{"ok":"no"}}`)
	f.untilPrints("False", "get", "pods", "-l", "app=web", "-o", `jsonpath={.items[0].status.conditions[?(@.type=="Ready")].status}`)
}

// Init containers run one after the other before the containers, sidecars among them go on; a preStop hook is
// called, within the grace period, before a container ends.
func TestInitContainersAndHooks(t *testing.T) {
	f := newFleet(t, 1)
	f.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ordered}
spec:
  terminationGracePeriodSeconds: 20
  volumes: [{name: work, emptyDir: {}}, {name: out, hostPath: {path: "` + f.lab.Dir + `/out", type: DirectoryOrCreate}}]
  initContainers:
  - {name: one, image: "` + busybox + `", command: [sh, -c, "sleep 0.3; echo one >> /work/order"], volumeMounts: [{name: work, mountPath: /work}]}
  - name: side
    image: "` + busybox + `"
    restartPolicy: Always
    command: [sh, -c, "echo side >> /work/order; exec sleep 1000"]
    startupProbe: {exec: {command: [grep, side, /work/order]}, periodSeconds: 1}
    volumeMounts: [{name: work, mountPath: /work}]
  - {name: two, image: "` + busybox + `", command: [sh, -c, "echo two >> /work/order; cat /work/order"], volumeMounts: [{name: work, mountPath: /work}]}
  containers:
  - name: main
    image: "` + busybox + `"
    command: [sh, -c, "trap 'exit 0' TERM; while sleep 0.1; do :; done"]
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo begun > /out/begun"]}}
      preStop: {exec: {command: [sh, -c, "cp /work/order /out/stopped"]}}
    volumeMounts: [{name: work, mountPath: /work}, {name: out, mountPath: /out}]
`)
	f.untilPrints("True", "get", "pod", "ordered", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	if out := f.kubectl("logs", "ordered", "-c", "two"); out != "one\nside\ntwo\n" {
		t.Errorf("the order was %q", out)
	}
	if out := f.kubectl("get", "pod", "ordered"); !strings.Contains(out, "2/2") {
		t.Errorf("get pod shows\n%s", out)
	}
	if found, _ := filepath.Glob(filepath.Join(f.lab.Dir, "out", "begun")); len(found) == 0 {
		t.Error("the postStart hook was not called")
	}
	f.kubectl("delete", "pod", "ordered")
	if found, _ := filepath.Glob(filepath.Join(f.lab.Dir, "out", "stopped")); len(found) == 0 {
		t.Error("the preStop hook was not called")
	}
	f.until("nothing is left of the volumes", func() (bool, string) {
		left := f.nodeFiles("node-1", "pods/*")
		return len(left) == 0, strings.Join(left, " ")
	})
}
