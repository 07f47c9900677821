package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What an attacker tries who may make pods, or whose program runs in one. Each test says what they get.

// runs applies a pod of one busybox container that has to print done.
func (f *fleet) runs(name, spec, container, script string) {
	f.Helper()
	f.apply(podOf(name, spec, container, script))
	f.until("pod "+name+" is done", func() (bool, string) {
		phase, err := f.master.Kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}")
		if err != nil || phase != "Succeeded" && phase != "Failed" {
			return false, seen(phase, err)
		}
		if phase == "Failed" {
			f.Fatalf("pod %s: %s", name, f.kubectl("logs", name))
		}
		return true, phase
	})
}

func podOf(name, spec, container, script string) string {
	if script != "" {
		container += fmt.Sprintf(", command: [sh, -c, %q]", script)
	}
	return `{apiVersion: v1, kind: Pod, metadata: {name: ` + name + `}, spec: {restartPolicy: Never, ` + spec +
		` containers: [{name: a, image: "` + busybox + `"` + container + `}]}}`
}

// A program that got hold of a container looks for a way out of it. As root it has the capabilities of a container and
// none besides, no way to gain others, filtered system calls, and no sight of the kernel's inside: it gets nothing. What
// the spec says differs, and only that.
func TestAttackFromInsideAPod(t *testing.T) {
	f := newFleet(t, 1)
	status := func(want map[string]string) string {
		var script strings.Builder
		for key, value := range want {
			fmt.Fprintf(&script, "grep -q '^%s:[[:space:]]*%s$' /proc/self/status || { grep %s /proc/self/status; exit 1; }; ", key, value, key)
		}
		return script.String()
	}
	f.runs("plain", "", "", status(map[string]string{"CapEff": "00000000a80425fb", "CapBnd": "00000000a80425fb", "CapInh": "0000000000000000", "CapAmb": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"})+
		`mkdir /mnt; mount -t tmpfs none /mnt && exit 1; head -c 1 /proc/kcore | grep -q . && exit 1; (: >> /proc/sys/kernel/panic) && exit 1; `+
		`mknod /d b 8 0; head -c 1 /d && exit 1; test $(ls /proc | grep -c '^[0-9]') -lt 6`)
	f.runs("other", `securityContext: {seccompProfile: {type: Unconfined}, supplementalGroups: [7], fsGroup: 8, sysctls: [{name: net.ipv4.tcp_syncookies, value: "0"}]}, volumes: [{name: v, emptyDir: {}}],`,
		`, volumeMounts: [{name: v, mountPath: /v}], securityContext: {allowPrivilegeEscalation: true, runAsNonRoot: true, runAsUser: 1000, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}`,
		status(map[string]string{"CapBnd": "0000000000000000", "NoNewPrivs": "0", "Seccomp": "0"})+
			`touch /x && exit 1; touch /v/x || exit 1; test $(stat -c %g /v/x) = 8 || exit 1; id -G | grep -qw 7 || exit 1; test $(cat /proc/sys/net/ipv4/tcp_syncookies) = 0`)
	f.runs("privileged", "", `, securityContext: {privileged: true}`, `mkdir /mnt; mount -t tmpfs none /mnt`)
	f.runs("after-it", "", "", status(map[string]string{"CapEff": "00000000a80425fb", "Seccomp": "2"})+
		`for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/memory/cgroup.procs; do (echo >> $f) 2>&1 | grep -q 'nvalid argument' && exit 1; done; exit 0`)

	// The image's user is root, and the pod may not be.
	f.apply(podOf("root", "securityContext: {runAsNonRoot: true},", "", "true"))
	f.untilPrints("CreateContainerConfigError", "get", "pod", "root", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
	if out := f.kubectl("get", "events"); !strings.Contains(out, "container has runAsNonRoot and image will run as root") {
		t.Errorf("the events do not say why:\n%s", out)
	}
}

// A user who may make pods in a namespace, and no more, asks for what reaches into the node, by a pod of their own and
// by a Deployment: they get nothing, and are told why in the words of Kubernetes. An administrator's label changes that
// for pods to come, and taking it away again.
func TestAttackPrivilegesWithoutLabel(t *testing.T) {
	f := newFleet(t, 1)
	f.kubectl("create", "namespace", "users")
	for want, pod := range map[string]string{
		"host namespaces (hostNetwork=true)":     podOf("p", "hostNetwork: true,", "", ""),
		`hostPath volumes (volume "v")`:          podOf("p", "volumes: [{name: v, hostPath: {path: /}}],", "", ""),
		`privileged (container "a" must not`:     podOf("p", "", ", securityContext: {privileged: true}", ""),
		`must not include "SYS_ADMIN"`:           podOf("p", "", ", securityContext: {capabilities: {add: [SYS_ADMIN]}}", ""),
		`hostPort (container "a" uses`:           podOf("p", "", ", ports: [{containerPort: 80, hostPort: 22}]", ""),
		`seccompProfile (pod must not set`:       podOf("p", "securityContext: {seccompProfile: {type: Unconfined}},", "", ""),
		`probe or lifecycle host (container "a"`: podOf("p", "", ", livenessProbe: {httpGet: {host: 127.0.0.1, port: 22}}", ""),
	} {
		out := f.refused(pod, "apply", "-n", "users", "-f", "-")
		if !strings.Contains(out, `pods "p" is forbidden: violates PodSecurity "baseline:latest"`) || !strings.Contains(out, want) {
			t.Errorf("the refusal does not say %q: %s", want, out)
		}
	}
	if _, err := f.master.KubectlInput(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec: {hostNetwork: true, containers: [{name: a, image: "`+probe+`", args: [sleep]}]}}}}`,
		"apply", "-n", "users", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	f.until("an event says that no pod is made", func() (bool, string) {
		out, err := f.master.Kubectl("get", "events", "-n", "users")
		return strings.Contains(out, "FailedCreate") && strings.Contains(out, `violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`), seen(out, err)
	})
	f.untilPrints("True", "get", "deployment", "d", "-n", "users", "-o", `jsonpath={.status.conditions[?(@.type=="ReplicaFailure")].status}`)
	f.kubectl("label", "namespace", "users", "pod-security.kubernetes.io/enforce=privileged")
	f.untilPrints("1", "get", "deployment", "d", "-n", "users", "-o", "jsonpath={.status.availableReplicas}")
	f.untilPrints("", "get", "deployment", "d", "-n", "users", "-o", `jsonpath={.status.conditions[?(@.type=="ReplicaFailure")].status}`)
	f.kubectl("label", "namespace", "users", "pod-security.kubernetes.io/enforce-")
	f.refused(podOf("p", "hostNetwork: true,", "", ""), "apply", "-n", "users", "-f", "-")
}

// A container leaves links in its volume that lead to the node's files, and asks for them as subPath; so does a pod
// with a subPath that is no name. They get nothing: the container never starts, and the event says why.
func TestAttackSubPath(t *testing.T) {
	f := newFleet(t, 1)
	for _, path := range []string{"../../../etc", "/etc", "a/../../b"} {
		f.refused(podOf("p", "volumes: [{name: v, emptyDir: {}}],", `, volumeMounts: [{name: v, mountPath: /v, subPath: "`+path+`"}]`, ""), "apply", "-f", "-")
	}
	for name, target := range map[string]string{"absolute": "/", "upwards": "../../../../../../../..", "magic": "/proc/1/root", "file": "/etc/shadow"} {
		f.apply(podOf(name, `volumes: [{name: v, emptyDir: {}}], initContainers: [{name: i, image: "`+busybox+`", command: [ln, -s, "`+target+`", /v/out], volumeMounts: [{name: v, mountPath: /v}]}],`,
			", volumeMounts: [{name: v, mountPath: /v, subPath: out}]", "cat /v/etc/shadow /v"))
	}
	f.until("the events say that each leads out", func() (bool, string) {
		out, err := f.master.Kubectl("get", "events")
		refused := 0
		for _, name := range []string{"absolute", "upwards", "magic", "file"} {
			for line := range strings.Lines(out) {
				if strings.Contains(line, "pod/"+name) && strings.Contains(line, "it leads out of the volume") {
					refused++
					break
				}
			}
		}
		return refused == 4, seen(out, err)
	})
	if out := f.kubectl("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*].state}"); strings.Contains(out, "running") || strings.Contains(out, "terminated") {
		t.Errorf("a container has started: %s", out)
	}
}

// Keys of ConfigMaps and Secrets, and paths of files, that lead out of their volume: the API takes none of them, so no
// node ever sees one.
func TestAttackKeysAndPaths(t *testing.T) {
	f := newFleet(t, 0)
	for _, key := range []string{"../x", "a/b", "..", ".", "..data", "/etc/passwd", ""} {
		for _, kind := range []string{"kind: ConfigMap, data", "kind: Secret, stringData", "kind: ConfigMap, binaryData"} {
			out := f.refused(fmt.Sprintf("{apiVersion: v1, metadata: {name: c}, %s: {%q: YQ==}}", kind, key), "apply", "-f", "-")
			if !strings.Contains(out, "invalid") && !strings.Contains(out, "Invalid") {
				t.Errorf("%s %q: %s", kind, key, out)
			}
		}
	}
	for _, path := range []string{"../x", "/etc/x", "a/../../x", "..data", "..", ""} {
		for _, volume := range []string{
			`configMap: {name: c, items: [{key: k, path: %q}]}`, `secret: {secretName: s, items: [{key: k, path: %q}]}`,
			`downwardAPI: {items: [{path: %q, fieldRef: {fieldPath: metadata.name}}]}`,
			`projected: {sources: [{secret: {name: s, items: [{key: k, path: %q}]}}]}`,
		} {
			out := f.refused(podOf("p", "volumes: [{name: v, "+fmt.Sprintf(volume, path)+"}],", "", ""), "apply", "-f", "-")
			if !strings.Contains(out, "path") || !strings.Contains(out, "spec.volumes[0]") {
				t.Errorf("%s %q: %s", volume, path, out)
			}
		}
	}
}

// An image archive that somebody put on the card has entries that lead out of it. The agent names the file and the
// entry, writes nothing, and imports the other archives: the attacker gets nothing.
func TestAttackImageArchive(t *testing.T) {
	f := newFleet(t, 0)
	outside := filepath.Join(f.lab.Dir, "outside")
	evil := map[string]tar.Header{
		"dots":     {Name: "../../outside", Typeflag: tar.TypeReg, Mode: 0o644},
		"absolute": {Name: outside, Typeflag: tar.TypeReg, Mode: 0o644},
		"link":     {Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
		"device":   {Name: "d", Typeflag: tar.TypeBlock, Devmajor: 8},
	}
	dir := filepath.Join(f.lab.Dir, "node-1", "images")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, header := range evil {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".tar"), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.addNode()
	f.waitReady(1)
	f.run("good", "sleep") // from an archive beside them
	log := f.nodes[0].Log()
	for name := range evil {
		if !strings.Contains(log, "import "+filepath.Join(dir, name+".tar")+": its entry") {
			t.Errorf("the agent does not name %s.tar", name)
		}
	}
	if _, err := os.Lstat(outside); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
}
