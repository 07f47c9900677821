package server

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/protocol/recovery"
	"github.com/skerry-edge/skerry/protocol/seal"
)

func onceKey(t *testing.T, letter string) recovery.Key {
	t.Helper()
	key, err := recovery.NewKey(strings.NewReader(strings.Repeat(letter, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A token for masters is good once: for the machine that used it again, if its answer was lost, and for no other; not when it has
// ended, was revoked or is guessed, nor when the clock was set back; and a node's token never is.
func TestMasterTokens(t *testing.T) {
	t.Parallel()
	tokens, now := madeTokens(t, Config{})
	began := *now
	dir := t.TempDir()
	for _, name := range keyFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tokens.CreateForMaster(t.Context(), time.Hour, 1, ""); err == nil || !strings.Contains(err.Error(), "two clusters") {
		t.Errorf("without etcd: %v", err)
	}
	var told []string
	synced := false
	tokens.masters = &masterTokens{dir: dir, apis: func(context.Context) []string { return []string{"https://192.0.2.1:6443"} },
		tell:   func(reason, message string, _ bool) { told = append(told, reason+" "+message) },
		synced: func() bool { return synced }}
	secretOf := func(ttl time.Duration) (string, []byte) {
		made, err := tokens.CreateForMaster(t.Context(), ttl, 1, "")
		if err != nil || !made.ForMaster {
			t.Fatal(made, err)
		}
		token, err := seal.ParseMasterToken(made.Text)
		if err != nil || token.ID() != made.ID {
			t.Fatal(token, err)
		}
		return made.ID, token.Secret
	}
	join := func(id string, secret []byte, key recovery.Key) (recovery.Bundle, error) {
		answer, err := tokens.Join(t.Context(), apiserver.MasterJoinRequest{Token: id, Secret: secret, Name: "pi"}, key.Recipient())
		if err != nil {
			return recovery.Bundle{}, err
		}
		return recovery.Unwrap(answer.Keys, key)
	}
	refused := func(what, want string, id string, secret []byte, key recovery.Key) {
		t.Helper()
		if _, err := join(id, secret, key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}

	mine, thiefs := onceKey(t, "m"), onceKey(t, "t")
	id, secret := secretOf(time.Hour)
	guessed := append([]byte{}, secret...)
	guessed[0]++
	refused("cut off", "can't reach etcd", id, secret, mine)
	synced = true
	refused("guessed", "not known here", id, guessed, thiefs)
	*now = began.Add(-2 * time.Hour)
	refused("clock set back", "before the token was made", id, secret, mine)
	*now = began
	for range 2 {
		keys, err := join(id, secret, mine)
		if err != nil || keys.Cluster != "home" || len(keys.Files) != len(keyFiles) || string(keys.Files[0].Data) != "of "+keys.Files[0].Name {
			t.Errorf("joining: %v %v", keys, err)
		}
	}
	refused("used up", "used as often as it may be", id, secret, thiefs)
	if len(told) != 1 || !strings.Contains(told[0], "MasterJoined") || !strings.Contains(told[0], id) {
		t.Errorf("told: %q", told)
	}

	id, secret = secretOf(time.Hour)
	*now = began.Add(time.Hour)
	refused("expired", "has expired", id, secret, mine)
	*now = began
	if found, err := tokens.Revoke(t.Context(), id); !found || err != nil {
		t.Fatal(found, err)
	}
	refused("revoked", "was revoked", id, secret, mine)

	node, err := tokens.Create(t.Context(), time.Hour, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	refused("a node's", "not known here", node.ID, parse(t, node.Text).Secret, mine)
	*now = time.Unix(0, 0)
	if _, err := tokens.CreateForMaster(t.Context(), time.Hour, 1, ""); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("without a clock: %v", err)
	}
}

// Keys that are not whole, or another cluster's, are not placed; what was broken off is begun again.
func TestKeysArePlaced(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	if _, err := openIdentity(from, "home"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{tokenKeysFile, "secrets.key"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good, err := bundleForMaster(from, "home")
	if err != nil || len(good.Files) != 3 {
		t.Fatal(good, err)
	}
	without := func(name string) recovery.Bundle {
		out := recovery.Bundle{Cluster: "home"}
		for _, f := range good.Files {
			if f.Name != name {
				out.Files = append(out.Files, f)
			}
		}
		return out
	}
	strange := without("")
	strange.Files = append(strange.Files, recovery.File{Name: "state.db", Data: []byte("x")})
	broken := without(identityFile)
	broken.Files = append(broken.Files, recovery.File{Name: identityFile, Data: []byte("x")})
	for want, keys := range map[string]recovery.Bundle{
		"secrets.key is missing": without("secrets.key"), identityFile + " is missing": without(identityFile),
		`"state.db"`: strange, "unusable": broken,
	} {
		dir := t.TempDir()
		if err := placeKeys(dir, "home", keys); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: left are %v", want, left)
		}
	}
	if err := placeKeys(t.TempDir(), "other", good); err == nil || !strings.Contains(err.Error(), "--cluster-name other") {
		t.Errorf("another name: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secrets.key"), []byte("of an attempt that was broken off"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := placeKeys(dir, "home", good); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "secrets.key")); err != nil || string(text) != "x" {
		t.Errorf("%s %v", text, err)
	}
	if id, err := openIdentity(dir, "home"); err != nil || id.made {
		t.Errorf("the identity: made anew %t, %v", id.made, err)
	}
}
