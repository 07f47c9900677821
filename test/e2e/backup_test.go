package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/skerry-edge/skerry/protocol/ballast/fulldisk"
)

// recoveryKey is the key that the master has printed, in a file.
func (f *fleet) recoveryKey() (file string) {
	f.Helper()
	file = filepath.Join(f.lab.Dir, "key.txt")
	f.until("the master prints a recovery key", func() (bool, string) {
		for _, word := range strings.Fields(f.master.Log()) {
			if strings.HasPrefix(word, "skr1-") {
				if err := os.WriteFile(file, []byte(word+"\n"), 0o600); err != nil {
					f.Fatal(err)
				}
				return true, ""
			}
		}
		return false, "no word beginning with skr1-"
	})
	return file
}

// The drill of docs/backup.md: a cluster is saved while others write, its master's disk burns, and an empty machine becomes
// that master from the file and the key. The nodes follow without joining, nothing is restarted, the Secret is there, and
// whoever's kubeconfig was good gets a new one.
func TestAMastersDiskBurns(t *testing.T) {
	f := newFleet(t, 2, quick...)
	key := f.recoveryKey()
	f.kubectl("create", "secret", "generic", "crown", "--from-literal=jewels=hush-hush")
	f.apply(deployment("web", 2))
	f.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
	f.run("steady", "sleep")
	state := func() string {
		return f.kubectl("get", "pods", "-o", `jsonpath={range .items[*]}{.metadata.uid} {.spec.nodeName} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].state.running.startedAt} {.status.containerStatuses[0].restartCount}{"\n"}{end}`)
	}
	before := state()

	stop, wrote := make(chan struct{}), sync.WaitGroup{}
	wrote.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				_, _ = f.master.Kubectl("create", "configmap", fmt.Sprint("c", n), "--from-literal=a=b")
			}
		}
	})
	saved := filepath.Join(f.lab.Dir, "home.backup")
	said := f.kubectl("backup", saved)
	close(stop)
	wrote.Wait()
	f.contains(said, `saved the cluster "default"`, saved, "opens it")
	f.contains(f.kubectl("recovery-key", "show", "--file", key), strings.Fields(said)[len(strings.Fields(said))-3])
	f.kubectl("create", "configmap", "later", "--from-literal=a=b")

	restore := []string{"edgectl", "restore", saved, "--recovery-key", key, "--data-dir", f.master.DataDir}
	if code, said := runToEnd(t, restore...); code != 1 || !strings.Contains(said, "a skerry-master uses it; stop it first") {
		t.Errorf("restoring beside a master that runs ended with %d: %s", code, said)
	}
	for range 2 { // the nodes see higher epochs than the backup's
		if err := f.master.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := f.master.Start(); err != nil {
			t.Fatal(err)
		}
		f.waitReady(2)
	}
	if err := f.master.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(f.master.DataDir); err != nil {
		t.Fatal(err)
	}

	if code, said := runToEnd(t, append(restore[:4:4], restore[2], "--data-dir", f.master.DataDir)...); code != 1 || !strings.Contains(said, "--recovery-key: ") {
		t.Errorf("restoring with the backup for a key ended with %d: %s", code, said)
	}
	code, said := runToEnd(t, restore...)
	if code != 0 {
		t.Fatalf("restoring ended with %d: %s", code, said)
	}
	f.contains(said, `restored the cluster "default"`, f.master.DataDir, "now start the master")
	if err := f.master.Start(); err != nil {
		t.Fatal(err)
	}
	f.until("the master answers to its new kubeconfig", func() (bool, string) {
		out, err := f.master.Kubectl("get", "secret", "crown", "-o", "jsonpath={.data.jewels}")
		return out == "aHVzaC1odXNo", seen(out, err)
	})
	f.waitReady(2)
	f.untilPrints("2", "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
	f.kubectl("run", "news", "--image="+probe, "--", "sleep")
	f.untilRunning("news") // so the nodes obey
	f.kubectl("delete", "pod", "news", "--grace-period=1")
	if after := state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	f.contains(f.refused("", "get", "configmap", "later"), "not found")

	// Over a directory that is there, which is kept.
	if code, err := f.master.Stop(); err != nil || code != 0 {
		t.Fatalf("the master ended with %d, %v", code, err)
	}
	if code, said = runToEnd(t, restore...); code != 0 || !strings.Contains(said, f.master.DataDir+".before-restore-1") {
		t.Errorf("restoring again ended with %d: %s", code, said)
	}
	if err := f.master.Start(); err != nil {
		t.Fatal(err)
	}
	f.waitReady(2)
	f.run("more", "sleep")
}

// A cluster whose recovery key is lost gets another one; the backups of before keep theirs.
func TestAnotherRecoveryKey(t *testing.T) {
	f := newFleet(t, 0, quick...)
	first := f.recoveryKey()
	second := filepath.Join(f.lab.Dir, "second.txt")
	if err := os.WriteFile(second, []byte(f.kubectl("recovery-key", "rotate")), 0o600); err != nil {
		t.Fatal(err)
	}
	f.contains(f.refused("", "recovery-key", "show", "--file", first), "the cluster's is")
	saved := filepath.Join(f.lab.Dir, "home.backup")
	f.kubectl("backup", saved)
	empty := filepath.Join(f.lab.Dir, "empty", "master")
	if code, said := runToEnd(t, "edgectl", "restore", saved, "--recovery-key", first, "--data-dir", empty); code != 1 || !strings.Contains(said, "it opens with another recovery key") {
		t.Errorf("with the lost key it ended with %d: %s", code, said)
	}
	if code, said := runToEnd(t, "edgectl", "restore", saved, "--recovery-key", second, "--data-dir", empty); code != 0 {
		t.Errorf("with the new key it ended with %d: %s", code, said)
	}
	f.contains(f.refused("", "backup", filepath.Join(f.lab.Dir, "none", "file")), "no such file or directory")
}

// A master whose disk has no room for the copy that a backup is made of says so, and goes on.
func TestABackupOfAMasterOnAFullDisk(t *testing.T) {
	f := &fleet{T: t, lab: newLab(t)}
	dir := f.smallDisk("master", "32m")
	f.startMaster()
	filler := fulldisk.Fill(t, dir)
	saved := filepath.Join(f.lab.Dir, "home.backup")
	f.contains(f.refused("", "backup", saved), "the master's disk has no room for the copy that a backup is made from")
	if _, err := os.Stat(saved); err == nil {
		t.Error("there is a file")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	f.kubectl("backup", saved)
}
