package server

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/bolt"
	"github.com/skerry-edge/skerry/protocol/ballast/fulldisk"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// saver is what makes backups of a new cluster, with the key that opens them.
func saver(t *testing.T, dir string) (*recoveryKeeper, recovery.Key) {
	t.Helper()
	s, _, err := bolt.Open(bolt.Config{Dir: dir, Schema: resource.Schema(), Sealed: resource.Sealed(), Clock: daemon.Clock, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := openIdentity(dir, "home"); err != nil {
		t.Fatal(err)
	}
	if _, err := openTokenKeys(dir); err != nil {
		t.Fatal(err)
	}
	k, err := openRecovery(Config{DataDir: dir, Cluster: "home"})
	if err != nil {
		t.Fatal(err)
	}
	k.store = s
	if _, err := k.Backup(); !errors.Is(err, apiserver.ErrNoRecoveryKey) {
		t.Fatalf("without a key: %v", err)
	}
	text, err := k.firstKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := recovery.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k, key
}

// One backup is made at a time; each has the keys as they lie in the directory, and after one that failed there may be
// another.
func TestBackupsOfAMaster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, key := saver(t, dir)
	b, err := k.Backup()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Backup(); !errors.Is(err, apiserver.ErrBackupRuns) {
		t.Errorf("a second one: %v", err)
	}
	var out bytes.Buffer
	n, err := b.WriteTo(&out)
	if err = errors.Join(err, b.Close()); err != nil || n != int64(out.Len()) {
		t.Fatalf("%d of %d bytes, %v", out.Len(), n, err)
	}
	r, err := recovery.Open(bytes.NewReader(out.Bytes()), n, key)
	if err != nil {
		t.Fatal(err)
	}
	if size, err := io.Copy(io.Discard, r); err != nil || size != r.Info.Store {
		t.Errorf("the store has %d bytes of %d, %v", size, r.Info.Store, err)
	}
	if len(r.Bundle.Files) != len(keyFiles) || r.Bundle.Cluster != "home" || r.Info.Cluster != "home" {
		t.Errorf("the bundle is %s", r.Bundle)
	}

	lost := filepath.Join(dir, tokenKeysFile)
	if err := os.Remove(lost); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Backup(); err == nil || !strings.Contains(err.Error(), lost+" is missing") {
		t.Errorf("without a key file: %v", err)
	}
	if _, err := openTokenKeys(dir); err != nil {
		t.Fatal(err)
	}
	if b, err = k.Backup(); err != nil {
		t.Fatalf("after one that failed: %v", err)
	}
	if _, err := b.WriteTo(failing{}); err == nil {
		t.Error("a writer that fails is no error")
	}
	b.Close()
	entries, err := filepath.Glob(filepath.Join(dir, "backup-*"))
	if err != nil || entries != nil {
		t.Errorf("left are %v, %v", entries, err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("gone") }

// The next start knows for whom backups are sealed; a file that is damaged is said, not replaced.
func TestTheRecipientIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, key := saver(t, dir)
	config := Config{DataDir: dir, Cluster: "home"}
	again, err := openRecovery(config)
	if err != nil || again.Recipient() != key.Recipient() {
		t.Fatalf("it is %s, %v", again.Recipient(), err)
	}
	whole, err := os.ReadFile(k.path())
	if err != nil || strings.Contains(string(whole), key.Text()[5:]) {
		t.Fatalf("the file has %q, %v", whole, err)
	}
	for name, text := range map[string]string{"cut": string(whole[:len(whole)/2]), "empty": "", "the key itself": key.Text(), "large": strings.Repeat("#", maxIdentity+1)} {
		if err := os.WriteFile(k.path(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openRecovery(config); err == nil || !strings.Contains(err.Error(), k.path()) || strings.Contains(err.Error(), key.Text()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// On a full disk the recipient stays as it was, and an error says what it is.
func TestTheRecipientOnAFullDisk(t *testing.T) {
	dir := fulldisk.Mount(t, 64<<10)
	k, err := openRecovery(Config{DataDir: dir, Cluster: "home"})
	if err != nil {
		t.Fatal(err)
	}
	fulldisk.Fill(t, dir)
	if _, err := k.firstKey(); !errors.Is(err, store.ErrFull) {
		t.Errorf("it said %v", err)
	}
	if !k.Recipient().IsZero() {
		t.Error("there is a recipient")
	}
}
