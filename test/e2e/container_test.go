package e2e

import (
	"strings"
	"testing"
)

// A container gets what its spec says: command, arguments, environment (also from a ConfigMap and from the
// pod's own fields), working directory, user, limits; and its exit code is told.
func TestContainerAsSpecified(t *testing.T) {
	f := newFleet(t, 1)
	f.kubectl("create", "configmap", "settings", "--from-literal=colour=blue", "--from-literal=SIZE=9")
	f.apply(`
apiVersion: v1
kind: Pod
metadata: {name: spec}
spec:
  restartPolicy: Never
  containers:
  - name: env
    image: "` + probe + `"
    args: [env]
    workingDir: /tmp
    env:
    - {name: PLAIN, value: "x y"}
    - {name: EXPANDED, value: "<$(PLAIN)>"}
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    envFrom: [{configMapRef: {name: settings}}]
    securityContext: {runAsUser: 1234}
    resources: {limits: {memory: 64Mi, cpu: 500m}}
  - {name: fails, image: "` + probe + `", args: [exit, "7"]}
  - {name: user, image: "` + probe + `", args: [check, uid, "1234"], securityContext: {runAsUser: 1234}}
`)
	f.untilPrints("Failed", "get", "pod", "spec", "-o", "jsonpath={.status.phase}")
	if got := f.field("pod", "spec", `.status.containerStatuses[?(@.name=="fails")].state.terminated.exitCode`); got != "7" {
		t.Errorf("the exit code is %q, want 7", got)
	}
	if got := f.field("pod", "spec", `.status.containerStatuses[?(@.name=="user")].state.terminated.exitCode`); got != "0" {
		t.Errorf("the container does not run as user 1234: %s", f.kubectl("logs", "spec", "-c", "user"))
	}
	env := f.kubectl("logs", "spec", "-c", "env")
	for _, want := range []string{"PLAIN=x y\n", "EXPANDED=<x y>\n", "COLOUR=blue\n", "SIZE=9\n", "POD=spec\n", "NODE=node-1\n"} {
		if !strings.Contains(env, want) {
			t.Errorf("%q is missing from the environment:\n%s", want, env)
		}
	}
}

// A container that uses more memory than its limit is killed and says why.
func TestOutOfMemory(t *testing.T) {
	f := newFleet(t, 1)
	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: hungry}, spec: {restartPolicy: Never, containers: [{name: a, image: "` + probe + `", args: [eat, "64"], resources: {limits: {memory: 24Mi}}}]}}`)
	f.untilPrints("OOMKilled", "get", "pod", "hungry", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.reason}")
}

// A container that keeps failing is restarted with growing pauses, as CrashLoopBackOff says.
func TestCrashLoop(t *testing.T) {
	f := newFleet(t, 1)
	f.kubectl("run", "broken", "--image="+probe, "--", "exit", "3")
	f.untilPrints("CrashLoopBackOff", "get", "pod", "broken", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
	if got := f.field("pod", "broken", ".status.containerStatuses[0].lastState.terminated.exitCode"); got != "3" {
		t.Errorf("the last exit code is %q, want 3", got)
	}
	if out := f.kubectl("get", "pods"); !strings.Contains(out, "CrashLoopBackOff") {
		t.Errorf("get pods shows\n%s", out)
	}
}

// A pod that is missing a ConfigMap says so, and runs once it is there.
func TestMissingConfigMap(t *testing.T) {
	f := newFleet(t, 1)
	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: waits}, spec: {containers: [{name: a, image: "` + probe + `", args: [sleep], envFrom: [{configMapRef: {name: later}}]}]}}`)
	f.untilPrints("CreateContainerConfigError", "get", "pod", "waits", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
	f.kubectl("create", "configmap", "later", "--from-literal=a=b")
	f.untilRunning("waits")
}

// A pod in the node's network sees the node's addresses; any other sees only its own.
func TestHostNetwork(t *testing.T) {
	f := newFleet(t, 1)
	for _, c := range []struct{ name, hostNetwork string }{{"host", "true"}, {"own", "false"}} {
		f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: ` + c.name + `}, spec: {hostNetwork: ` + c.hostNetwork + `, restartPolicy: Never, containers: [{name: a, image: "busybox:1", command: [ip, addr]}]}}`)
		f.untilPrints("Succeeded", "get", "pod", c.name, "-o", "jsonpath={.status.phase}")
		out := f.kubectl("logs", c.name)
		if has := strings.Contains(out, f.nodes[0].Host.Address); has != (c.hostNetwork == "true") {
			t.Errorf("hostNetwork %s: the pod sees\n%s", c.hostNetwork, out)
		}
	}
}
