package wiring

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/server"
	"github.com/skerry-edge/skerry/protocol/recovery"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/test/lab"
)

func startEtcd(t *testing.T) *lab.Etcd {
	t.Helper()
	e, err := lab.StartEtcd(t.TempDir())
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("there is no etcd here: apt-get install etcd-server, and nothing of several masters is tested")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	return e
}

// newSite is a world whose master keeps its state in etcd.
func newSite(t *testing.T, e *lab.Etcd) *world {
	w := newWorld(t)
	w.config.Etcd.URLs, w.config.Etcd.CutOff = []string{e.URL}, "lead"
	return w
}

// beside is another machine of the same cluster: an empty directory.
func (w *world) beside() *world {
	other := newWorld(w.t)
	other.config.Etcd = w.config.Etcd
	return other
}

// masterToken has a token for masters made, and returns its file.
func (w *world) masterToken(request map[string]any) (id, file string) {
	w.t.Helper()
	var made struct{ ID, Token string }
	request["forMaster"] = true
	w.until("a token for masters is made", func() bool {
		return w.call("POST", "/apis/skerry.dev/v1/jointokens", request, &made) == 201
	})
	file = filepath.Join(w.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(made.Token+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return made.ID, "@" + file
}

func (w *world) leads() bool {
	var list struct {
		Items []struct {
			Role string
			Self bool
		}
	}
	if w.call("GET", "/apis/skerry.dev/v1/masters", nil, &list) != 200 {
		return false
	}
	for _, m := range list.Items {
		if m.Self && m.Role == "leader" {
			return true
		}
	}
	return false
}

func (w *world) event(reason string) bool {
	var list corev1.EventList
	w.call("GET", "/api/v1/events", nil, &list)
	for _, e := range list.Items {
		if e.Reason == reason {
			return true
		}
	}
	return false
}

// A second master joins by a token: it has the cluster's keys, shows its state, and leads when the first one ends. Only one
// machine can use the token, the audit log names it, an Event says so, and the key files are for root alone.
func TestAMasterJoins(t *testing.T) {
	e := startEtcd(t)
	first := newSite(t, e)
	stop := first.startMaster()
	first.secret("hush-hush")
	id, file := first.masterToken(map[string]any{"ttlSeconds": 3600, "uses": 1})

	second := first.beside()
	second.config.JoinMasters = file
	second.startMaster()
	for _, name := range []string{"cluster.pem", "secrets.key", "serviceaccounts.pem", "recovery.pub"} {
		info, err := os.Stat(filepath.Join(second.config.DataDir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	var crown corev1.Secret
	second.until("the second master shows the Secret", func() bool {
		return second.call("GET", "/api/v1/namespaces/default/secrets/crown", nil, &crown) == 200 && string(crown.Data["jewels"]) == "hush-hush"
	})
	if second.leads() {
		t.Error("two masters lead")
	}
	first.until("an Event tells of it", func() bool { return first.event("MasterJoined") })
	audit, err := os.ReadFile(filepath.Join(first.config.DataDir, "audit.log"))
	if err != nil || !strings.Contains(string(audit), "skerry:joining-master") || !strings.Contains(string(audit), id) {
		t.Errorf("audit log: %v\n%s", err, audit)
	}

	third := first.beside()
	third.config.JoinMasters = file
	if err := third.fails(); err == nil || !strings.Contains(err.Error(), "used as often as it may be") {
		t.Errorf("the token again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(third.config.DataDir, "cluster.pem")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused machine has keys: %v", err)
	}

	stop()
	second.until("the second master leads", func() bool { return second.leads() })
	second.secretNamed("after")
}

func (w *world) secretNamed(name string) {
	w.t.Helper()
	s := corev1.ConfigMap{}
	s.APIVersion, s.Kind, s.Name = "v1", "ConfigMap", name
	if code := w.call("POST", "/api/v1/namespaces/default/configmaps", s, nil); code != 201 {
		w.t.Errorf("creating a ConfigMap answers %d", code)
	}
}

// fails is the error of a master that can't start.
func (w *world) fails() error {
	s, err := server.New(w.t.Context(), w.config, w.daemon("master"))
	if err == nil {
		w.run(s.Run)()
	}
	return err
}

// What is wrong with a token, or with how it is used, is said in words, and gives no keys away. A master's token lets no node
// join, and an impostor is not told the secret.
func TestMastersThatMayNotJoin(t *testing.T) {
	e := startEtcd(t)
	first := newSite(t, e)
	first.startMaster()
	good := map[string]any{"ttlSeconds": 3600, "uses": 2}
	revoked, revokedFile := first.masterToken(good)
	if code := first.call("DELETE", "/apis/skerry.dev/v1/jointokens/"+revoked, nil, nil); code != 200 {
		t.Fatalf("revoking answers %d", code)
	}
	_, expired := first.masterToken(map[string]any{"ttlSeconds": 1, "uses": 1})
	_, fine := first.masterToken(good)
	text, err := os.ReadFile(strings.TrimPrefix(fine, "@"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := seal.ParseMasterToken(string(text))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*seal.MasterToken)) string {
		other := token
		other.Secret = append([]byte{}, token.Secret...)
		change(&other)
		text, err := other.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	stranger := newWorld(t) // another cluster's master, which answers where the token leads
	stranger.startMaster()
	made := time.Now()
	first.until("a token has expired", func() bool { return time.Since(made) > time.Second })

	readable := strings.TrimPrefix(fine, "@") + ".all"
	if err := os.WriteFile(readable, text, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		join string
		want string
	}{
		"revoked":   {revokedFile, "the token was revoked"},
		"expired":   {expired, "the token has expired"},
		"guessed":   {changed(func(m *seal.MasterToken) { m.Secret[0]++ }), "the token is not known here"},
		"impostor":  {changed(func(m *seal.MasterToken) { m.APIs = []string{stranger.url} }), "belongs to another cluster, or somebody is in between"},
		"no etcd":   {changed(func(m *seal.MasterToken) { m.APIs, m.CAHash = []string{stranger.url}, stranger.token().CAHash }), "has no etcd"},
		"cluster":   {changed(func(m *seal.MasterToken) { m.Cluster = "other" }), "give --cluster-name other"},
		"node's":    {"@" + filepath.Join(first.config.DataDir, "join-token"), "this token is for nodes"},
		"nothing":   {"hunter2", "this is no join token for masters"},
		"no file":   {"@/nonexistent", "no such file"},
		"world":     {"@" + readable, "chmod 600"},
		"no token":  {"", "--recovery-key FILE to restore this machine from etcd, or --join-masters @FILE"},
		"truncated": {string(text[:40]), "cut off or mistyped"},
	} {
		other := first.beside()
		other.config.JoinMasters = c.join
		err := other.fails()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(other.config.DataDir, "cluster.pem")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: it has keys: %v", name, err)
		}
	}
	for name, request := range map[string]map[string]any{
		"for ever": {"ttlSeconds": 0, "uses": 1, "forMaster": true}, "for any number": {"ttlSeconds": 60, "uses": 0, "forMaster": true},
		"too long": {"ttlSeconds": 86401, "uses": 1, "forMaster": true},
	} {
		if code := first.call("POST", "/apis/skerry.dev/v1/jointokens", request, nil); code != 400 {
			t.Errorf("a token for masters %s: %d", name, code)
		}
	}
	if code := stranger.call("POST", "/apis/skerry.dev/v1/jointokens", map[string]any{"ttlSeconds": 60, "uses": 1, "forMaster": true}, nil); code != 400 {
		t.Errorf("a token for masters of a cluster without etcd: %d", code)
	}
}

// A master's disk burns, and there is no other: an empty machine with the same etcd and the recovery key is that cluster
// again, Secrets included, also when the recovery key was replaced meanwhile. Another key is refused in words.
func TestAMasterIsRestoredFromEtcd(t *testing.T) {
	e := startEtcd(t)
	first := newSite(t, e)
	stop := first.startMaster()
	key := first.printed()
	first.secret("hush-hush")
	_, agentStop := first.startAgent("node-1", nil)
	first.until("the node is Ready", func() bool { return first.ready("node-1") })
	first.until("etcd has the keys", func() bool { return e.Has("/skerry/test/keys") })
	stop()

	second := first.beside()
	second.config.APIListen, second.config.MQTTListen = first.config.APIListen, first.config.MQTTListen // the address is the same
	second.config.RecoveryKey = key
	stop = second.startMaster()
	var crown corev1.Secret
	second.until("the Secret is there", func() bool {
		return second.call("GET", "/api/v1/namespaces/default/secrets/crown", nil, &crown) == 200 && string(crown.Data["jewels"]) == "hush-hush"
	})
	second.until("the node obeys", func() bool { return second.ready("node-1") })
	agentStop()

	// Another recovery key takes the place of that one.
	next, file := second.newKey()
	second.until("the recovery key is replaced", func() bool {
		return second.call("PUT", "/apis/skerry.dev/v1/recoverykey", map[string]string{"recipient": next}, nil) == 200
	})
	stop()
	third := first.beside()
	third.config.RecoveryKey = key
	if err := third.fails(); err == nil || !strings.Contains(err.Error(), "it is not the key of the cluster in etcd") {
		t.Errorf("the key of before: %v", err)
	}
	third.config.RecoveryKey = file
	third.startMaster()
	third.until("the Secret is there once more", func() bool {
		return third.call("GET", "/api/v1/namespaces/default/secrets/crown", nil, &crown) == 200
	})
}

// newKey is another recovery key: its public half, and its file.
func (w *world) newKey() (recipient, file string) {
	w.t.Helper()
	key, err := recovery.NewKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	return key.Recipient().String(), w.keyFile(key.Text())
}
