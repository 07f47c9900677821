package e2e

import (
	"strings"
	"testing"
)

const busybox = "busybox:1"

// A container sees Secrets and ConfigMaps as variables and as files; a change reaches the files, and nothing is
// restarted. The values of a Secret appear nowhere else.
func TestConfigAndSecretVolumes(t *testing.T) {
	f := newFleet(t, 1)
	f.kubectl("create", "configmap", "settings", "--from-literal=colour=blue")
	f.kubectl("create", "secret", "generic", "keys", "--from-literal=token=hush-hush")
	f.apply(`
apiVersion: v1
kind: Pod
metadata: {name: reader, labels: {tier: front}}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: keys, secret: {secretName: keys, defaultMode: 256, items: [{key: token, path: deep/token}]}}
  - {name: about, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: work, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: disk, emptyDir: {}}
  - {name: all, projected: {sources: [{secret: {name: keys}}, {configMap: {name: settings}}, {configMap: {name: none, optional: true}}]}}
  containers:
  - name: a
    image: "` + busybox + `"
    command: [sh, -c, "echo \"token $TOKEN\"; cat /keys/deep/token /all/colour /one; cat /about/labels; stat -c %a /keys/deep/token; touch /settings/x 2>/dev/null || echo read-only; echo kept > /disk/f && cat /part/f; while sleep 0.2; do cat /settings/colour; echo; done"]
    env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}]
    volumeMounts:
    - {name: settings, mountPath: /settings}
    - {name: settings, mountPath: /one, subPath: colour}
    - {name: keys, mountPath: /keys}
    - {name: about, mountPath: /about}
    - {name: work, mountPath: /work}
    - {name: disk, mountPath: /disk, subPath: made/here}
    - {name: disk, mountPath: /part, subPath: made/here}
    - {name: all, mountPath: /all}
`)
	f.untilRunning("reader")
	logs := func() (string, error) { return f.master.Kubectl("logs", "reader") }
	f.until("the container has printed what it sees", func() (bool, string) {
		out, err := logs()
		return strings.Contains(out, "\nblue\n"), seen(out, err)
	})
	out, _ := logs()
	for _, want := range []string{"token hush-hush\n", "hush-hushblueblue", `tier="front"`, "400\n", "read-only\n", "kept\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing from what the container saw:\n%s", want, out)
		}
	}
	before := f.started("reader")
	f.kubectl("create", "configmap", "settings", "--from-literal=colour=green", "--dry-run=client", "-o", "yaml")
	f.kubectl("patch", "configmap", "settings", "-p", `{"data":{"colour":"green"}}`)
	f.until("the change reaches the file", func() (bool, string) {
		out, err := logs()
		return strings.Contains(out, "\ngreen\n"), seen(out, err)
	})
	if after := f.started("reader"); after != before {
		t.Errorf("the container was %s and is %s", before, after)
	}
	if events := f.kubectl("get", "events", "-o", "yaml"); strings.Contains(events, "hush-hush") {
		t.Error("an event quotes a Secret")
	}
	if table := f.kubectl("get", "secrets"); !strings.Contains(table, "Opaque") || strings.Contains(table, "hush") {
		t.Errorf("get secrets shows\n%s", table)
	}
	f.kubectl("delete", "pod", "reader")
	f.until("nothing is left of the volumes", func() (bool, string) {
		left := f.nodeFiles("node-1", "pods/*")
		return len(left) == 0, strings.Join(left, " ")
	})
}

// A pod whose Secret is missing waits and says so; once it is there the pod runs.
func TestMissingSecretVolume(t *testing.T) {
	f := newFleet(t, 1)
	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: waits}, spec: {volumes: [{name: v, secret: {secretName: later}}], containers: [{name: a, image: "` + probe + `", args: [sleep], volumeMounts: [{name: v, mountPath: /v}]}]}}`)
	f.until("an event says what is missing", func() (bool, string) {
		out, err := f.master.Kubectl("get", "events")
		return strings.Contains(out, "FailedMount") && strings.Contains(out, `secret "later" not found`), seen(out, err)
	})
	f.kubectl("create", "secret", "generic", "later", "--from-literal=a=b")
	f.untilRunning("waits")
}
