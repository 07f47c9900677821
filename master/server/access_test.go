package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/apiserver/audit"
	"github.com/skerry-edge/skerry/master/apiserver/authn"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// The keys of tokens stay the same until somebody deletes them, and only root can read them; what is unusable is not
// replaced.
func TestTokenKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, tokenKeysFile)
	sign := func() string {
		t.Helper()
		keys, err := openTokenKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		token, err := keys.Sign(authn.Claim{Issued: time.Unix(0, 0), Expires: time.Unix(0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := sign()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if sign() != first {
		t.Error("the next start signs with another key")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if sign() == first {
		t.Error("a deleted key signs")
	}
	for _, bad := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openTokenKeys(dir); err == nil || !strings.Contains(err.Error(), path+" are unusable") {
			t.Errorf("%q: %v", bad, err)
		}
		if left, _ := os.ReadFile(path); string(left) != bad {
			t.Errorf("%q was replaced", bad)
		}
	}
}

// The audit log lies where the flag says, or nowhere; a place that it can't have is an error of that flag.
func TestWhereTheAuditLogLies(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	open := func(name string) (*audit.Log, error) {
		s := &Server{config: Config{DataDir: dir, AuditLog: name}, daemon: daemon.New("test", zerolog.Nop(), nil)}
		return s.openAudit()
	}
	for name, file := range map[string]string{
		"audit.log": filepath.Join(dir, "audit.log"), "other.log": filepath.Join(dir, "other.log"), filepath.Join(other, "a"): filepath.Join(other, "a"),
	} {
		if log, err := open(name); err != nil || log == nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if log, err := open(""); log != nil || err != nil {
		t.Errorf("none: %v, %v", log, err)
	}
	for _, bad := range []string{other, filepath.Join(other, "none", "a")} {
		if _, err := open(bad); err == nil || !strings.HasPrefix(err.Error(), "--audit-log "+bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
