package wiring

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgectl/restore"
	"github.com/skerry-edge/skerry/master/server"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// printed is the recovery key that the master has printed, in a file.
func (w *world) printed() (file string) {
	w.t.Helper()
	w.until("a recovery key is printed", func() bool {
		w.greeting.mu.Lock()
		defer w.greeting.mu.Unlock()
		for _, word := range strings.Fields(w.text.String()) {
			if strings.HasPrefix(word, "skr1-") {
				file = w.keyFile(word)
			}
		}
		return file != ""
	})
	return file
}

func (w *world) keyFile(text string) string {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// backup makes one, and returns its file.
func (w *world) backup() string {
	w.t.Helper()
	code, data := w.post("/apis/skerry.dev/v1/backups")
	if code != 200 {
		w.t.Fatalf("a backup: %d %s", code, data)
	}
	file := filepath.Join(w.t.TempDir(), "backup")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

func (w *world) post(path string) (code int, body []byte) {
	w.t.Helper()
	response, err := w.client.Post(w.url+path, "application/json", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, body
}

// open is what a backup holds.
func (w *world) open(file, keyFile string) *recovery.Reader {
	w.t.Helper()
	key, err := recovery.ReadKey(keyFile)
	if err != nil {
		w.t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := recovery.Open(bytes.NewReader(data), int64(len(data)), key)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) secret(value string) {
	w.t.Helper()
	s := corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: "crown"},
		StringData: map[string]string{"jewels": value}}
	if code := w.call("POST", "/api/v1/namespaces/default/secrets", s, nil); code != 201 {
		w.t.Fatalf("creating a Secret answers %d", code)
	}
}

// A master's disk burns after it has led for a while. From a backup that was made while others wrote, an empty machine
// becomes that master again: the node obeys it without joining, goes on with the pod that it runs, and the Secret can be
// read. What came after the backup is lost. All that happens a second time from the same backup.
func TestAMasterIsRestoredFromABackup(t *testing.T) {
	w := newWorld(t)
	stopMaster := w.startMaster()
	key := w.printed()
	_, stopAgent := w.startAgent("node-1", nil)
	w.until("the node is Ready", func() bool { return w.ready("node-1") })
	w.secret("hush-hush")
	w.runPod("kept")
	w.until("the pod runs", func() bool { return w.running("kept") })
	before, _ := w.pod("kept")

	stop, wrote := make(chan struct{}), sync.WaitGroup{}
	wrote.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				cm := corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", n)}}
				w.call("POST", "/api/v1/namespaces/default/configmaps", cm, nil)
			}
		}
	})
	file := w.backup()
	close(stop)
	wrote.Wait()
	w.runPod("lost")
	w.until("the later pod runs", func() bool { return w.running("lost") })
	for range 3 { // the node sees higher epochs than the backup's
		stopMaster()
		stopMaster = w.startMaster()
		w.until("the node is Ready again", func() bool { return w.ready("node-1") })
	}
	sealed, err := os.ReadFile(file)
	if err != nil || bytes.Contains(sealed, []byte("hush-hush")) || bytes.Contains(sealed, []byte("PRIVATE KEY")) || bytes.Contains(sealed, []byte("kube-system")) {
		t.Fatalf("the backup can be read: %v", err)
	}

	for _, name := range []string{"once", "twice"} {
		config := restore.Config{Backup: file, KeyFile: key, Dir: w.config.DataDir}
		if _, err := restore.Restore(config); err == nil || !strings.Contains(err.Error(), "a skerry-master uses it; stop it first") {
			t.Errorf("%s, beside a master that runs: %v", name, err)
		}
		stopMaster()
		if err := os.RemoveAll(w.config.DataDir); err != nil {
			t.Fatal(err)
		}
		report, err := restore.Restore(config)
		if err != nil || report.Aside != "" || report.Cluster != "test" {
			t.Fatalf("%s: %+v, %v", name, report, err)
		}
		stopMaster = w.startMaster()
		w.until("the node follows, "+name, func() bool { return w.ready("node-1") })
		w.until("the pod runs as before", func() bool {
			now, ok := w.pod("kept")
			return ok && now.UID == before.UID && len(now.Status.ContainerStatuses) == 1 && now.Status.ContainerStatuses[0].RestartCount == 0 &&
				now.Status.ContainerStatuses[0].ContainerID == before.Status.ContainerStatuses[0].ContainerID
		})
		if note := filepath.Join(w.config.DataDir, recovery.NoteFile); !w.said("RestoredFromBackup", fmt.Sprintf("revision %d", report.Rev)) {
			t.Errorf("%s: no event says so", name)
		} else if _, err := os.Stat(note); err == nil {
			t.Errorf("%s: it will be said again", name)
		}
		if _, ok := w.pod("lost"); ok {
			t.Errorf("%s: what was written after the backup is there", name)
		}
		var s corev1.Secret
		if code := w.call("GET", "/api/v1/namespaces/default/secrets/crown", nil, &s); code != 200 || string(s.Data["jewels"]) != "hush-hush" {
			t.Errorf("%s: the Secret: %d %q", name, code, s.Data)
		}
		w.runPod("after-" + name)
		w.until("the node runs what comes", func() bool { return w.running("after-" + name) })
	}
	if n := strings.Count(w.text.String(), "skr1-"); n != 1 {
		t.Errorf("the recovery key was printed %d times", n)
	}
	w.backup() // for the same key, which the restored master knows by its public half
	stopAgent()
	stopMaster()
}

// Every file that a master makes is either in the bundle of keys, or known to be none that another master needs. Who adds a
// file decides here where it belongs.
func TestEveryFileOfAMasterIsInItsPlace(t *testing.T) {
	w := newWorld(t)
	stopMaster := w.startMaster()
	w.startAgent("node-1", nil)
	w.until("the node is Ready", func() bool { return w.ready("node-1") })
	b := w.open(w.backup(), w.printed()).Bundle
	stopMaster()
	var keys []string
	for _, f := range b.Files {
		keys = append(keys, f.Name)
		if there, err := os.ReadFile(filepath.Join(w.config.DataDir, f.Name)); err != nil || !bytes.Equal(there, f.Data) {
			t.Errorf("%s is not as it lies there: %v", f.Name, err)
		}
	}
	others := []string{
		"state.db", "snapshot.db", // the store, of which the backup has a copy
		"epoch", "lock", "reserved-space", // of this directory alone
		"admin.kubeconfig", "join-token", // made of the keys, or of the store
		"audit.log", // of this machine
	}
	entries, err := os.ReadDir(w.config.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if inBundle := slices.Contains(keys, e.Name()); inBundle == slices.Contains(others, e.Name()) {
			t.Errorf("%s: is it a key file that another master needs? (keyFiles of master/server)", e.Name())
		}
	}
	if len(keys) != 4 {
		t.Errorf("the bundle has %v", keys)
	}
}

// A cluster without a recovery key says how to get one; with one that an administrator has made it prints none; with
// another one than its own it does not start.
func TestRecoveryKeysOfAdministrators(t *testing.T) {
	w := newWorld(t)
	key, err := recovery.NewKey(strings.NewReader(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	other, err := recovery.NewKey(strings.NewReader(strings.Repeat("o", 32)))
	if err != nil {
		t.Fatal(err)
	}
	w.config.RecoveryKey = w.keyFile(key.Text())
	stop := w.startMaster()
	file := w.backup()
	w.open(file, w.config.RecoveryKey)
	stop()
	if strings.Contains(w.text.String(), "skr1-") {
		t.Errorf("a key was printed: %s", w.text.String())
	}
	mine := w.config.RecoveryKey
	for _, c := range []struct{ file, says string }{
		{w.keyFile(other.Text()), "it has the id " + other.Recipient().ID() + ", the cluster's has the id " + key.Recipient().ID()},
		{w.keyFile("skr1-typo"), "cut off or mistyped"},
		{filepath.Join(w.dir, "none"), "no such file"},
	} {
		w.config.RecoveryKey = c.file
		if _, err := server.New(t.Context(), w.config, w.daemon("master")); err == nil || !strings.HasPrefix(err.Error(), "--recovery-key") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.says, err)
		}
	}
	if err := os.Chmod(mine, 0o604); err != nil {
		t.Fatal(err)
	}
	w.config.RecoveryKey = mine
	if _, err := server.New(t.Context(), w.config, w.daemon("master")); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that everybody can read: %v", err)
	}

	// As a master that was started before there were recovery keys.
	w.config.RecoveryKey = ""
	if err := os.Remove(filepath.Join(w.config.DataDir, "recovery.pub")); err != nil {
		t.Fatal(err)
	}
	w.startMaster()
	if code, says := w.post("/apis/skerry.dev/v1/backups"); code != 400 || !strings.Contains(string(says), "edgectl recovery-key rotate") {
		t.Errorf("a backup without a recovery key: %d %s", code, says)
	}
	var now struct{ ID, Recipient string }
	if code := w.call("PUT", "/apis/skerry.dev/v1/recoverykey", map[string]string{"recipient": other.Recipient().String()}, &now); code != 200 || now.ID != other.Recipient().ID() {
		t.Errorf("replacing it: %d %+v", code, now)
	}
	w.open(w.backup(), w.keyFile(other.Text()))
}

// The users of a cluster whose store was unusable learn that some of it is lost, where they look.
func TestAStoreThatWasSetAsideIsSaid(t *testing.T) {
	w := newWorld(t)
	stop := w.startMaster()
	w.secret("hush-hush")
	w.backup()
	stop()
	state := filepath.Join(w.config.DataDir, "state.db")
	whole, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.config.DataDir, "snapshot.db"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, whole[:8192], 0o600); err != nil {
		t.Fatal(err)
	}
	w.startMaster()
	w.until("an event says so", func() bool { return w.said("StoreRestored", "state.db.corrupt-1") })
}

// said reports whether an event of that reason says that.
func (w *world) said(reason, text string) bool {
	w.t.Helper()
	var list corev1.EventList
	if w.call("GET", "/api/v1/events", nil, &list) != 200 {
		return false
	}
	return slices.ContainsFunc(list.Items, func(e corev1.Event) bool { return e.Reason == reason && strings.Contains(e.Message, text) })
}
