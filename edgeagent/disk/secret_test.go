package disk_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	bolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/edgeagent/disk"
	"github.com/skerry-edge/skerry/protocol/keyring"
	"github.com/skerry-edge/skerry/protocol/message"
)

var hush = []byte("hush-hush-hush-hush")

// filesWith are the files of a directory in which a text is found.
func filesWith(t *testing.T, dir string, text []byte) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	ok(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		ok(t, err)
		if bytes.Contains(data, text) {
			found = append(found, e.Name())
		}
	}
	return found
}

func isKept(t *testing.T, d *disk.Disk) {
	t.Helper()
	position, digest, content, err := d.Desired()
	if err != nil || position != at(2, 7) || digest != message.DigestOf(hush) || !bytes.Equal(content, hush) {
		t.Errorf("Desired = %v, %v, %q, %v", position, digest, content, err)
	}
	if id, err := d.Identity(); !bytes.Equal(id, hush) || err != nil {
		t.Errorf("Identity = %q, %v", id, err)
	}
}

func TestWhatIsSecretIsInNoFile(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	ok(t, d.KeepDesired(at(2, 7), message.DigestOf(hush), hush))
	ok(t, d.KeepIdentity(hush))
	isKept(t, d)
	ok(t, d.Close())
	if found := filesWith(t, dir, hush); found != nil {
		t.Errorf("found in %v", found)
	}
	isKept(t, open(t, dir))
	if info, err := os.Stat(filepath.Join(dir, keyring.FileName)); err != nil || info.Mode() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
}

// plain makes a directory what a version left that encrypted nothing.
func plain(t *testing.T, dir string, digest message.Digest) {
	t.Helper()
	d := open(t, dir)
	ok(t, d.KeepDesired(at(2, 7), message.DigestOf(hush), hush))
	ok(t, d.KeepRecords(map[string][]byte{"a": []byte("1")}))
	ok(t, d.Close())
	change(t, filepath.Join(dir, "agent.db"), func(tx *bolt.Tx) error {
		content := tx.Bucket([]byte("content"))
		ok(t, content.Delete([]byte("sealed")))
		ok(t, content.Put([]byte("content"), hush))
		return tx.Bucket([]byte("node")).Put([]byte("digest"), message.Encode(digest))
	})
	ok(t, os.WriteFile(filepath.Join(dir, "identity"), hush, 0o600))
	ok(t, os.Remove(filepath.Join(dir, keyring.FileName)))
	if found := filesWith(t, dir, hush); len(found) != 2 {
		t.Fatalf("before it is in %v", found)
	}
}

func TestAnOldDirectoryIsEncryptedAtStart(t *testing.T) {
	dir := t.TempDir()
	plain(t, dir, message.DigestOf(hush))
	d := open(t, dir)
	isKept(t, d)
	if d.Run() != 2 {
		t.Errorf("run %d", d.Run())
	}
	if records, err := d.Records(); len(records) != 1 || err != nil {
		t.Errorf("Records = %v, %v", records, err)
	}
	if found := filesWith(t, dir, hush); found != nil {
		t.Errorf("still in %v", found)
	}
	ok(t, d.Close())
	isKept(t, open(t, dir))
}

func TestOldContentThatIsDamagedIsDropped(t *testing.T) {
	dir := t.TempDir()
	plain(t, dir, message.DigestOf([]byte("other")))
	d := open(t, dir)
	if position, _, content, err := d.Desired(); position != (message.Position{}) || content != nil || err != nil {
		t.Errorf("Desired = %v, %q, %v", position, content, err)
	}
}

// Without its key the agent does not start, says which file it needs, and changes nothing.
func TestWithoutItsKeyTheDirectoryStaysAsItIs(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"missing": os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte("00000000 AAAA\n"), 0o600) },
		"another": func(path string) error {
			r, err := keyring.New(path)
			ok(t, err)
			return r.Keep()
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir)
			ok(t, d.KeepDesired(at(2, 7), message.DigestOf(hush), hush))
			ok(t, d.KeepIdentity(hush))
			ok(t, d.Close())
			path := filepath.Join(dir, keyring.FileName)
			key, err := os.ReadFile(path)
			ok(t, err)
			ok(t, harm(path))
			before, err := os.ReadFile(filepath.Join(dir, "agent.db"))
			ok(t, err)
			_, err = disk.Open(disk.Config{Dir: dir, Log: zerolog.Nop()})
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Fatalf("Open = %v", err)
			}
			after, err := os.ReadFile(filepath.Join(dir, "agent.db"))
			ok(t, err)
			if !bytes.Equal(before, after) {
				t.Error("the database changed")
			}
			ok(t, os.WriteFile(path, key, 0o600))
			isKept(t, open(t, dir))
		})
	}
}

// The identity of one node means nothing in the directory of another.
func TestACopiedIdentityIsOfNoUse(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	ok(t, open(t, from).KeepIdentity(hush))
	ok(t, open(t, to).Close())
	data, err := os.ReadFile(filepath.Join(from, "identity"))
	ok(t, err)
	ok(t, os.WriteFile(filepath.Join(to, "identity"), data, 0o600))
	d := open(t, to)
	id, err := d.Identity()
	if id != nil || err == nil || !strings.Contains(err.Error(), "remove identity, agent.db and secrets.key there, and join again with --join") {
		t.Errorf("Identity = %q, %v", id, err)
	}
}
