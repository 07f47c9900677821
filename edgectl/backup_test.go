package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/skerry-edge/skerry/protocol/ballast/fulldisk"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// flagsFor lead to a server of the test.
func flagsFor(t *testing.T, serve http.HandlerFunc) *genericclioptions.ConfigFlags {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	flags := genericclioptions.NewConfigFlags(false)
	flags.APIServer = &server.URL
	return flags
}

func someKey(t *testing.T) recovery.Key {
	t.Helper()
	key, err := recovery.NewKey(strings.NewReader(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func someBackup(t *testing.T, size int) []byte {
	t.Helper()
	to, random := someKey(t).Recipient(), strings.NewReader(strings.Repeat("r", 64))
	wrapped, err := recovery.Wrap(recovery.Bundle{Cluster: "home", Files: []recovery.File{{Name: "a"}}}, to, random)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := recovery.NewWriter(&out, to, recovery.Info{Cluster: "home", Rev: 7, Time: time.Unix(1_800_000_000, 0), Store: int64(size)}, wrapped, random)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A backup is in its file whole, and the file as it was otherwise, with nothing beside it.
func TestBackupFile(t *testing.T) {
	good := someBackup(t, 300_000)
	broken := func(data []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(data)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	send := func(code int, data []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "POST" || r.URL.Path != backupsPath {
				w.WriteHeader(400)
				return
			}
			if code != 200 {
				w.Header().Set("Content-Type", "application/json")
			}
			w.WriteHeader(code)
			_, _ = w.Write(data)
		}
	}
	path := filepath.Join(t.TempDir(), "saved")
	run := func(serve http.HandlerFunc, path string) (string, error) {
		var out bytes.Buffer
		c := newBackupCommand(flagsFor(t, serve), genericiooptions.IOStreams{Out: &out})
		c.SetArgs([]string{path})
		c.SilenceErrors, c.SilenceUsage = true, true
		err := c.ExecuteContext(context.Background())
		return out.String(), err
	}
	said, err := run(send(200, good), path)
	if err != nil || !strings.Contains(said, `the cluster "home"`) || !strings.Contains(said, "293 KiB") || !strings.Contains(said, someKey(t).Recipient().ID()) {
		t.Errorf("said %q, %v", said, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	changed := bytes.Clone(good)
	changed[len(changed)/2] ^= 1
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		path  string
		says  string
	}{
		"broken off":    {broken(good[:100_000]), path, "the backup did not come whole"},
		"a part":        {send(200, good[:100_000]), path, "the backup did not come whole"},
		"changed":       {send(200, changed), path, "the backup did not come whole"},
		"nothing":       {send(200, nil), path, "the backup did not come whole"},
		"an old master": {send(404, nil), path, "is its master older than this program?"},
		"no key": {send(400, []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","code":400,"message":"make one"}`)),
			path, "make one"},
		"no directory": {send(200, good), filepath.Join(path, "x"), "not a directory"},
	} {
		said, err := run(c.serve, c.path)
		if err == nil || !strings.Contains(err.Error(), c.says) || said != "" {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
	if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, good) {
		t.Errorf("the backup of before is gone: %v", err)
	}
	onlyFiles(t, filepath.Dir(path), "saved")
}

// onlyFiles checks what is in a directory.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("in %s are %v, want %v", dir, names, want)
	}
}

// A disk without room for a backup has none of it afterwards, and an error says which disk it is.
func TestBackupOnAFullDisk(t *testing.T) {
	dir, data := fulldisk.Mount(t, 128<<10), someBackup(t, 300_000)
	path := filepath.Join(dir, "saved")
	_, err := backup(t.Context(), flagsFor(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }), path)
	if err == nil || !strings.Contains(err.Error(), "the disk of "+path+" is full; free space there") {
		t.Errorf("it said %v", err)
	}
	onlyFiles(t, dir)
}

// The master is told the public half alone; the key is printed when the master has it, and not before.
func TestRecoveryKeyIsMadeHere(t *testing.T) {
	var told []byte
	answer := http.StatusOK
	flags := flagsFor(t, func(w http.ResponseWriter, r *http.Request) {
		told, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer)
		_, _ = w.Write(told)
	})
	run := func(args ...string) (out, errs string, err error) {
		var o, e bytes.Buffer
		c := newRecoveryKeyCommand(flags, genericiooptions.IOStreams{Out: &o, ErrOut: &e})
		c.SetArgs(args)
		c.SetErr(&e)
		c.SilenceErrors, c.SilenceUsage = true, true
		err = c.ExecuteContext(context.Background())
		return o.String(), e.String(), err
	}
	out, errs, err := run("rotate")
	if err != nil {
		t.Fatal(err)
	}
	key, err := recovery.ParseKey(out)
	if err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	var body recoveryKey
	if err := json.Unmarshal(told, &body); err != nil || body.Recipient != key.Recipient().String() || body.ID != key.Recipient().ID() ||
		strings.Contains(string(told), strings.TrimSpace(out)) || strings.Contains(errs, strings.TrimSpace(out)) {
		t.Errorf("the master was told %s, printed was %q, %v", told, errs, err)
	}
	again, _, err := run("rotate")
	if err != nil || again == out {
		t.Errorf("twice the same: %v", err)
	}
	answer = http.StatusInternalServerError
	if out, _, err := run("rotate"); err == nil || out != "" || !strings.Contains(err.Error(), "run this again") {
		t.Errorf("refused, it prints %q, %v", out, err)
	}
	answer = http.StatusNotFound
	if _, _, err := run("rotate"); err != errNoRecoveryKeys {
		t.Errorf("an old master: %v", err)
	}
	told = nil
	if out, _, err := run("generate"); err != nil || told != nil {
		t.Errorf("generating asks %q, %v", told, err)
	} else if _, err := recovery.ParseKey(out); err != nil {
		t.Errorf("%q: %v", out, err)
	}
}

// What is kept in a safe can be compared with what the cluster has.
func TestRecoveryKeyShown(t *testing.T) {
	key := someKey(t)
	id := key.Recipient().ID()
	flags := flagsFor(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(recoveryKey{ID: id})
	})
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		c := newRecoveryKeyCommand(flags, genericiooptions.IOStreams{Out: &out})
		c.SetArgs(append([]string{"show"}, args...))
		c.SilenceErrors, c.SilenceUsage = true, true
		err := c.ExecuteContext(context.Background())
		return out.String(), err
	}
	if out, err := run("--file", file); err != nil || out != id+"\n" {
		t.Errorf("the right one: %q, %v", out, err)
	}
	id = "0123456789abcdef"
	if out, err := run(); err != nil || out != id+"\n" {
		t.Errorf("without a file: %q, %v", out, err)
	}
	if _, err := run("--file", file); err == nil || !strings.Contains(err.Error(), "has the recovery key "+key.Recipient().ID()+"; the cluster's is "+id) {
		t.Errorf("another one: %v", err)
	}
	if _, err := run("--file", file+"x"); err == nil || !strings.HasPrefix(err.Error(), "--file: ") {
		t.Errorf("no file: %v", err)
	}
	id = ""
	if _, err := run(); err == nil || !strings.Contains(err.Error(), "edgectl recovery-key rotate makes one") {
		t.Errorf("none: %v", err)
	}
}
