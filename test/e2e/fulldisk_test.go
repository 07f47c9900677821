package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skerry-edge/skerry/protocol/ballast/fulldisk"
)

// smallDisk puts a host's data directory on a file system of its own, before the host's program starts.
func (f *fleet) smallDisk(host string, size string) (dir string) {
	f.Helper()
	dir = filepath.Join(f.lab.Dir, host)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		f.Fatal(err)
	}
	return dir
}

// free is how many bytes are left on the file system of a directory.
func (f *fleet) free(dir string) int {
	f.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		f.Fatal(err)
	}
	return int(s.Bavail) * int(s.Frsize)
}

// A pod that takes every block of the node's disk, again and again, can be deleted, and the node is as before; so it
// is when the agent has to start in between.
func TestAPodThatFillsTheDiskCanBeDeleted(t *testing.T) {
	f := &fleet{T: t, lab: newLab(t)}
	f.startMaster(quick...)
	dir := f.smallDisk("node-1", "96m")
	agent := f.addNode()
	f.waitReady(1)
	// With it the desired state is too large for what the agent's database has free anyway.
	f.kubectl("create", "configmap", "large", "--from-literal=text="+strings.Repeat("x", 100<<10))
	f.apply(`
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: disk, emptyDir: {}}, {name: large, configMap: {name: large}}]
  containers:
  - name: a
    image: "` + busybox + `"
    command: [sh, -c, "while true; do cat /dev/zero >> /disk/f; sleep 0.02; done"]
    volumeMounts: [{name: disk, mountPath: /disk}, {name: large, mountPath: /large}]
`)
	f.until("the disk is full", func() (bool, string) {
		left := f.free(dir)
		return left == 0, "bytes left on the disk"
	})
	if code, err := agent.Stop(); err != nil || code != 0 {
		t.Fatalf("the agent on a full disk ended with %d, %v", code, err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	f.waitReady(1)
	f.kubectl("delete", "pod", "greedy", "--timeout=60s")
	if left := f.free(dir); left < 8<<20 {
		t.Errorf("%d bytes are free after the pod is gone", left)
	}
	f.run("modest", "sleep")
}

// A master whose disk is full says so when something new is made, starts again, and deletes.
func TestAMasterOnAFullDisk(t *testing.T) {
	f := &fleet{T: t, lab: newLab(t)}
	dir := f.smallDisk("master", "32m")
	f.startMaster()
	manifest := func(name string) string {
		return `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "` + name + `"}, "data": {"text": "` + strings.Repeat("x", 100<<10) + `"}}`
	}
	f.apply(manifest("kept"))
	filler := fulldisk.Fill(t, dir)
	said := ""
	f.until("the master refuses", func() (bool, string) {
		_, err := f.master.KubectlInput(manifest("refused"), "apply", "-f", "-")
		if err != nil {
			said = err.Error()
		}
		return err != nil, "it took the object"
	})
	if !strings.Contains(said, "the master's store has no room; delete objects or free space on its disk") {
		t.Errorf("it said %q", said)
	}
	if code, err := f.master.Stop(); err != nil || code != 0 {
		t.Fatalf("the master ended with %d, %v", code, err)
	}
	if err := f.master.Start(); err != nil {
		t.Fatal(err)
	}
	f.until("the master answers", func() (bool, string) {
		out, err := f.master.Kubectl("get", "configmap", "kept", "-o", "name")
		return err == nil, seen(out, err)
	})
	f.kubectl("delete", "configmap", "kept")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	f.apply(manifest("new"))

	// The audit log may lack lines of the time without room, but has no half of one.
	f.until("the audit log has what came after", func() (bool, string) {
		log, err := os.ReadFile(filepath.Join(dir, "audit.log"))
		return strings.Contains(string(log), `"name":"new","code":201`), seen(string(log), err)
	})
	log, err := os.ReadFile(filepath.Join(dir, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("the audit log has the line %q", line)
		}
	}
}
