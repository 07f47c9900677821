package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	bbolt "go.etcd.io/bbolt"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/keyring"
)

var secretKinds = map[change.Kind]bool{"secrets": true}

// hush is a value that must not be found in any file.
const hush = "hush-hush-hush-hush"

func secret(name string) change.Key {
	return change.Key{Kind: "secrets", Namespace: "default", Name: name}
}

// secretStore has secrets, settings and what is no secret.
func secretStore(t *testing.T, dir string, kinds map[change.Kind]bool) *Store {
	t.Helper()
	s, _ := mustOpen(t, Config{Dir: dir, Sealed: kinds})
	for i := range 30 {
		write(t, s, secret(fmt.Sprint(i)), fmt.Sprint(hush, i))
		write(t, s, key(fmt.Sprint(i)), "in the open")
	}
	if err := s.SetMeta("ca", []byte(hush)); err != nil {
		t.Fatal(err)
	}
	return s
}

// secrets are the values as the store gives them out.
func secrets(s *Store) map[string]string {
	out := list(s)
	for rec := range s.View().List("secrets", "") {
		out[rec.Key.String()] = rec.Rev.String() + " " + string(rec.Value)
	}
	return out
}

// filesWith are the files of a directory in which a text is found.
func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = append(found, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is secret is in no file, and what isn't is; both come back.
func TestSecretsAreInNoFile(t *testing.T) {
	s := secretStore(t, t.TempDir(), secretKinds)
	if err := s.Keep(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), []change.Change{{Key: secret("0"), Base: change.Any}}); err != nil {
		t.Fatal(err)
	}
	copied := readCopy(t, s)
	before := secrets(s)
	if len(before) != 59 || before["secrets default/7"] == "" {
		t.Fatalf("%v", before)
	}
	if found := filesWith(t, s.config.Dir, hush); found != nil || bytes.Contains(copied, []byte(hush)) {
		t.Errorf("found in %v, and in the copy: %v", found, bytes.Contains(copied, []byte(hush)))
	}
	if found := filesWith(t, s.config.Dir, "in the open"); len(found) != 2 {
		t.Errorf("the search finds what is no secret in %v", found)
	}
	s = reopen(t, s)
	if diff := cmp.Diff(before, secrets(s)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
	if got, err := s.Meta("ca"); string(got) != hush || err != nil {
		t.Errorf("setting: %q, %v", got, err)
	}
	if info, err := os.Stat(keyFile(s.config.Dir)); err != nil || info.Mode() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
}

// plain makes the file what a version wrote that encrypted nothing.
func plain(t *testing.T, s *Store) {
	t.Helper()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket(sealedBucket); err != nil {
			return err
		}
		if err := tx.Bucket(settingsBucket).Put([]byte("ca"), seal([]byte("ca"), []byte(hush))); err != nil {
			return err
		}
		return putFormat(plainFormat)(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), os.Remove(keyFile(s.config.Dir))); err != nil {
		t.Fatal(err)
	}
}

func TestAnOldFileIsEncryptedAtStart(t *testing.T) {
	s := secretStore(t, t.TempDir(), nil)
	before := secrets(s)
	plain(t, s)
	if found := filesWith(t, s.config.Dir, hush); len(found) != 2 {
		t.Fatalf("the old secrets are in %v", found)
	}
	again, report := mustOpen(t, Config{Dir: s.config.Dir, Sealed: secretKinds})
	if diff := cmp.Diff(before, secrets(again)); diff != "" || report.Problem != nil {
		t.Errorf("%+v (-before +after)\n%s", report, diff)
	}
	if got, err := again.Meta("ca"); string(got) != hush || err != nil {
		t.Errorf("setting: %q, %v", got, err)
	}
	if found := filesWith(t, s.config.Dir, hush); found != nil {
		t.Errorf("still in %v", found)
	}
}

// A kind that becomes a secret one is encrypted; one that no longer is can still be read.
func TestKindsBecomeSecretAndOpen(t *testing.T) {
	s := secretStore(t, t.TempDir(), nil)
	before := secrets(s)
	for _, kinds := range []map[change.Kind]bool{secretKinds, nil, secretKinds} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, _ = mustOpen(t, Config{Dir: s.config.Dir, Sealed: kinds})
		if diff := cmp.Diff(before, secrets(s)); diff != "" {
			t.Errorf("(-before +after)\n%s", diff)
		}
		if found := filesWith(t, s.config.Dir, hush); (found == nil) != (kinds != nil) {
			t.Errorf("with the secret kinds %v it is in %v", kinds, found)
		}
		write(t, s, key("0"), "in the open")
	}
}

// Without its keys the store does not open, says which file it needs, and changes nothing.
func TestWithoutItsKeysTheStoreStaysAsItIs(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(path string) error
		want string
	}{
		"missing": {os.Remove, "put back the key file "},
		"another": {func(path string) error {
			r, err := keyring.New(path)
			if err != nil {
				return err
			}
			return r.Keep()
		}, "put back the key file "},
		"damaged": {func(path string) error { return os.WriteFile(path, []byte("00000000 AAAA\n"), 0o600) }, "is unusable (line 1:"},
		"empty":   {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "is unusable (there is no key in it)"},
	} {
		for _, corrupt := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", corrupt ", corrupt), func(t *testing.T) {
				dir := t.TempDir()
				s := secretStore(t, dir, secretKinds)
				before := secrets(s)
				if err := errors.Join(s.Keep(), s.Close()); err != nil {
					t.Fatal(err)
				}
				path := keyFile(dir)
				key, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if corrupt {
					if err := os.WriteFile(filepath.Join(dir, StateFile), []byte("no database"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.harm(path); err != nil {
					t.Fatal(err)
				}
				harmed := files(t, dir)
				_, report, err := Open(s.config)
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || report.SetAside != "" {
					t.Fatalf("got %v, %+v", err, report)
				}
				if err := Rotate(s.config); err == nil {
					t.Error("rotated without the key")
				}
				if diff := cmp.Diff(harmed, files(t, dir)); diff != "" {
					t.Errorf("the files changed: %s", diff)
				}
				if err := os.WriteFile(path, key, 0o600); err != nil {
					t.Fatal(err)
				}
				if again, _ := mustOpen(t, s.config); !cmp.Equal(before, secrets(again)) {
					t.Error("with the key put back the secrets are others")
				}
			})
		}
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

// Who can write into the file can't make one secret the value of another: it is noticed, and nothing is replaced.
func TestAValueOpensOnlyInItsPlace(t *testing.T) {
	s := secretStore(t, t.TempDir(), secretKinds)
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(sealedBucket).Bucket([]byte("secrets"))
		from, to := objectKey(secret("1")), objectKey(secret("2"))
		content, _ := unseal(from, b.Get(from))
		return b.Put(to, seal(to, content)) // the checksum is right
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	_, report, err := Open(s.config)
	if !errors.Is(err, keyring.ErrDamaged) || !strings.Contains(err.Error(), "secrets default/2") || report.SetAside != "" {
		t.Errorf("got %v, %+v", err, report)
	}
}

func TestRotatingMakesTheOldKeyWorthless(t *testing.T) {
	dir := t.TempDir()
	s := secretStore(t, dir, secretKinds)
	before := secrets(s)
	if err := errors.Join(s.Keep(), s.Close()); err != nil {
		t.Fatal(err)
	}
	old, err := keyring.Load(keyFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := Rotate(Config{Dir: dir, Sealed: secretKinds}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{StateFile, snapshotFile} {
		if _, err := load(filepath.Join(dir, name), sealing{ring: old, kinds: secretKinds}, true); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("%s and the old key: %v", name, err)
		}
	}
	if s, _ = mustOpen(t, s.config); !cmp.Equal(before, secrets(s)) {
		t.Error("the secrets are others")
	}
	s.config.LockTimeout = 1
	if err := Rotate(s.config); err == nil || !strings.Contains(err.Error(), "another skerry-master uses "+dir) {
		t.Errorf("beside a master that runs: %v", err)
	}
	if err := Rotate(Config{Dir: filepath.Join(dir, "none")}); err == nil || !strings.Contains(err.Error(), "there is no store in "+dir) {
		t.Errorf("of nothing: %v", err)
	}
}

const rotateDir, rotateMoment = "SKERRY_TEST_ROTATE_DIR", "SKERRY_TEST_ROTATE_MOMENT"

// rotateAndDie is the process that TestRotatingMayBeCutOff kills.
func rotateAndDie(dir string) error {
	last, err := strconv.Atoi(os.Getenv(rotateMoment))
	if err != nil {
		return err
	}
	n := 0
	return rotate(Config{Dir: dir, Sealed: secretKinds}, func(string) {
		if n == last {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		n++
	})
}

// A rotation that is killed at any moment leaves a store that opens, and one that can be rotated.
func TestRotatingMayBeCutOff(t *testing.T) {
	for n := 0; ; n++ {
		dir := t.TempDir()
		s := secretStore(t, dir, secretKinds)
		before := secrets(s)
		if err := errors.Join(s.Keep(), s.Close()); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), rotateDir+"="+dir, fmt.Sprintf("%s=%d", rotateMoment, n))
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.ENOEXEC) {
			t.Skip("a program under qemu-user can't start itself, unless the kernel knows of qemu")
		}
		if err == nil {
			if n < 5 {
				t.Fatalf("there are only %d moments", n)
			}
			break
		}
		if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("moment %d: %v: %s", n, err, out)
		}
		s, report := mustOpen(t, s.config)
		if report != (Report{}) || !cmp.Equal(before, secrets(s)) {
			t.Errorf("moment %d: %+v: the secrets are others", n, report)
		}
		if err := errors.Join(s.Close(), Rotate(s.config)); err != nil {
			t.Errorf("moment %d: rotating again: %v", n, err)
		}
		if text, err := os.ReadFile(keyFile(dir)); err != nil || bytes.Count(text, []byte("\n")) != 3 {
			t.Errorf("moment %d: the key file has more than one key: %v", n, err)
		}
		if _, err := load(filepath.Join(dir, snapshotFile), s.sealing, true); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("moment %d: the snapshot is still under the old key: %v", n, err)
		}
	}
}

// The checksum is over what is encrypted: damage is found without a key, and is damage, not a wrong key.
func TestDamageOfASecretIsDamage(t *testing.T) {
	s := secretStore(t, t.TempDir(), secretKinds)
	if err := s.Keep(); err != nil {
		t.Fatal(err)
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(sealedBucket).Bucket([]byte("secrets"))
		stored := bytes.Clone(b.Get(objectKey(secret("1"))))
		binary.BigEndian.PutUint32(stored[len(stored)-4:], 0)
		return b.Put(objectKey(secret("1")), stored)
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	_, report := mustOpen(t, s.config)
	if !errors.Is(report.Problem, errCorrupt) {
		t.Errorf("%+v", report)
	}
}
