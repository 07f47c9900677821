package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// found are the files below a directory that hold any of the texts, apart by whether they lie on the directory's own
// file system or on another one that is mounted below it.
func (f *fleet) found(dir string, texts ...string) (own, mounted []string) {
	f.Helper()
	var root syscall.Stat_t
	if err := syscall.Stat(dir, &root); err != nil {
		f.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if !bytes.Contains(data, []byte(text)) {
				continue
			}
			var info syscall.Stat_t
			if err := syscall.Stat(path, &info); err != nil {
				return err
			}
			if info.Dev == root.Dev {
				own = append(own, path)
			} else {
				mounted = append(mounted, path)
			}
			break
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	return own, mounted
}

// The value of a Secret, of the one before it and of one that was deleted, is in no file of the master and of the
// agent, in none of their logs, events and metrics; but in a tmpfs, where its pod reads it. The same holds after the
// master's key was changed.
func TestASecretIsInNoFile(t *testing.T) {
	f := newFleet(t, 1, quick...)
	values := []string{"hush-first-value", "hush-second-value", "hush-deleted-value"}
	f.kubectl("create", "secret", "generic", "keys", "--from-literal=token="+values[0])
	f.kubectl("create", "secret", "generic", "gone", "--from-literal=token="+values[2])
	f.apply(`
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: keys, secret: {secretName: keys}}]
  containers:
  - name: a
    image: "` + probe + `"
    args: [sleep]
    env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: gone, key: token}}}]
    volumeMounts: [{name: keys, mountPath: /keys}]
---
{apiVersion: v1, kind: Pod, metadata: {name: asks}, spec: {containers: [{name: a, image: "` + probe + `", args: [sleep],
	env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: none}}}]}]}}
`)
	f.untilRunning("reader")
	f.until("an event says what is missing", func() (bool, string) {
		out, err := f.master.Kubectl("get", "events")
		return strings.Contains(out, "none"), seen(out, err)
	})
	f.kubectl("patch", "secret", "keys", "-p", `{"stringData":{"token":"`+values[1]+`"}}`)
	f.kubectl("delete", "secret", "gone")
	texts := append([]string{}, values...)
	for _, v := range values {
		texts = append(texts, base64.StdEncoding.EncodeToString([]byte(v)))
	}
	f.until("the new value is on a tmpfs, for the pod", func() (bool, string) {
		_, mounted := f.found(f.lab.Dir, values[1])
		return len(mounted) > 0, strings.Join(mounted, " ")
	})
	absent := func() {
		t.Helper()
		own, mounted := f.found(f.lab.Dir, texts...)
		if own != nil {
			t.Errorf("a Secret's value is in %v", own)
		}
		for _, path := range mounted {
			var info syscall.Statfs_t
			if err := syscall.Statfs(path, &info); err != nil || info.Type != 0x01021994 {
				t.Errorf("%s is on a file system of type %x, not tmpfs, %v", path, info.Type, err)
			}
		}
		said := f.kubectl("get", "events", "-A", "-o", "yaml")
		for host, address := range map[string]string{"master": "127.0.0.1:9640", "node-1": "127.0.0.1:9641"} {
			command := f.nodes[0].Host
			if host == "master" {
				command = f.master.Host
			}
			out, err := command.Command("curl", "-sSf", "http://"+address+"/metrics").Output()
			if err != nil {
				t.Errorf("metrics of %s: %v", host, err)
			}
			said += string(out)
		}
		for _, text := range texts {
			if strings.Contains(said, text) {
				t.Errorf("events or metrics say %q", text)
			}
		}
	}
	absent()

	rotate := []string{"skerry-master", "rotate-secret-key", "--data-dir", f.master.DataDir}
	if code, said := runToEnd(t, rotate...); code != 1 || !strings.Contains(said, "another skerry-master uses "+f.master.DataDir+": stop it") {
		t.Errorf("rotating beside a master that runs ended with %d: %s", code, said)
	}
	if code, err := f.master.Stop(); err != nil || code != 0 {
		t.Fatalf("the master ended with %d, %v", code, err)
	}
	if code, said := runToEnd(t, rotate...); code != 0 {
		t.Fatalf("rotating ended with %d: %s", code, said)
	}
	if err := f.master.Start(); err != nil {
		t.Fatal(err)
	}
	f.untilPrints(base64.StdEncoding.EncodeToString([]byte(values[1])), "get", "secret", "keys", "-o", "jsonpath={.data.token}")
	agent := f.nodes[0]
	if code, err := agent.Stop(); err != nil || code != 0 {
		t.Fatalf("the agent ended with %d, %v", code, err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	f.waitReady(1)
	absent()

	for name, p := range map[string]int{"master": f.master.PID(), "agent": agent.PID()} {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p))
		if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0 bytes") {
			t.Errorf("the %s may write core files: %v\n%s", name, err, limits)
		}
	}
}
