package apiserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/recovery"
)

// keeper is a Recovery whose backups are a text, and end with an error if there is one.
type keeper struct {
	recipient recovery.Recipient
	err       error // of Backup
	breaks    error // of WriteTo, after the text
	closed    int
}

func (k *keeper) Recipient() recovery.Recipient { return k.recipient }

func (k *keeper) SetRecipient(r recovery.Recipient) error { k.recipient = r; return k.err }

func (k *keeper) Backup() (Backup, error) { return k, k.err }

func (k *keeper) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, "a backup")
	return int64(n), errors.Join(err, k.breaks)
}

func (k *keeper) Close() error { k.closed++; return nil }

func someRecipient(t *testing.T, seed string) recovery.Recipient {
	t.Helper()
	key, err := recovery.NewKey(strings.NewReader(strings.Repeat(seed, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key.Recipient()
}

// Who may do everything gets backups and replaces the recovery key; nobody else does either, whatever roles say.
func TestBackupsAreForAdministrators(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	a := newAPI(t, func(c *Config) { c.Recovery = k })
	if r := a.post(backupsPath, nil); r.code != 200 || string(r.body) != "a backup" || k.closed != 1 {
		t.Errorf("a backup: %d %s, closed %d times", r.code, r.body, k.closed)
	}
	a.get(backupsPath).fails(405, metav1.StatusReasonMethodNotAllowed, "")
	a.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", `{"metadata":{"name":"all"},"rules":[{"verbs":["*"],"apiGroups":["skerry.dev"],"resources":["*"]}]}`)
	a.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"metadata":{"name":"all"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"all"},
		"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"savers"}]}`)
	body := fmt.Sprintf(`{"recipient":%q}`, someRecipient(t, "a"))
	for _, group := range []string{GroupViewers, "savers"} {
		for _, q := range []ask{{method: "POST", path: backupsPath}, {method: "GET", path: recoveryKeyPath}, {method: "PUT", path: recoveryKeyPath, body: body}} {
			q.groups = []string{group}
			a.do(q).fails(403, metav1.StatusReasonForbidden, "only who may do everything can")
		}
	}
	if k.closed != 1 || !k.recipient.IsZero() {
		t.Errorf("%d backups, recipient %s", k.closed, k.recipient)
	}
}

// The key itself never comes here: what is told and taken is its public half.
func TestRecoveryKey(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	a := newAPI(t, func(c *Config) { c.Recovery = k })
	to := someRecipient(t, "a")
	put := func(body string) reply { return a.do(ask{method: "PUT", path: recoveryKeyPath, body: body}) }
	var got RecoveryKey
	a.get(recoveryKeyPath).into(200, &got)
	if got != (RecoveryKey{}) {
		t.Errorf("before there is one: %+v", got)
	}
	put(fmt.Sprintf(`{"recipient":%q}`, to)).into(200, &got)
	if want := (RecoveryKey{ID: to.ID(), Recipient: to.String()}); got != want || k.recipient != to {
		t.Errorf("%+v, kept %s", got, k.recipient)
	}
	key, err := recovery.NewKey(strings.NewReader(strings.Repeat("b", 32)))
	if err != nil {
		t.Fatal(err)
	}
	for body, says := range map[string]string{
		"x":                           "this is no recovery key",
		`{"key":"x"}`:                 `unknown field "key"`,
		`{}`:                          "recipient: there is no recovery key in it",
		`{"recipient":"skrp1-abc"}`:   "recipient: the recovery key is cut off or mistyped",
		`{"recipient":"` + key.Text(): "this is no recovery key",
		`{"id":"1","recipient":"` + to.String() + `"}`: "id: it is " + to.ID(),
	} {
		status := put(body).fails(400, metav1.StatusReasonBadRequest, says)
		if strings.Contains(status.Message, key.Text()[10:]) {
			t.Errorf("it repeats the key: %s", status.Message)
		}
	}
	put(strings.Repeat(" ", maxTokenRequest+1)).fails(413, metav1.StatusReasonRequestEntityTooLarge, "small")
	a.do(ask{method: "DELETE", path: recoveryKeyPath}).fails(405, metav1.StatusReasonMethodNotAllowed, "")
	if k.recipient != to {
		t.Errorf("it was replaced by %s", k.recipient)
	}
}

// What keeps a backup from being made is said with what to do about it.
func TestNoBackup(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	a := newAPI(t, func(c *Config) { c.Recovery = k })
	for _, c := range []struct {
		err    error
		code   int
		reason metav1.StatusReason
		says   string
	}{
		{ErrNoRecoveryKey, 400, metav1.StatusReasonBadRequest, "make one: edgectl recovery-key rotate"},
		{ErrBackupRuns, 429, metav1.StatusReasonTooManyRequests, "another backup is being made"},
		{fmt.Errorf("copy: %w", store.ErrFull), 507, reasonFull, "free some there"},
		{store.ErrClosed, 503, metav1.StatusReasonServiceUnavailable, "shutting down"},
	} {
		k.err = c.err
		a.post(backupsPath, nil).fails(c.code, c.reason, c.says)
	}
	newAPI(t).post(backupsPath, nil).fails(503, metav1.StatusReasonServiceUnavailable, "makes no backups")
}

// A backup that fails while it is sent is broken off: nobody takes what came for the whole.
func TestABackupThatBreaks(t *testing.T) {
	t.Parallel()
	l := newLive(t, func(c *Config) { c.Recovery = &keeper{breaks: errors.New("the disk is gone")} })
	client, err := kubernetes.NewForConfig(&l.config)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := client.RESTClient().Verb(http.MethodPost).AbsPath(backupsPath).Stream(t.Context())
	if err == nil {
		_, err = io.ReadAll(stream)
	}
	if err == nil {
		t.Error("it came to an end")
	}
}
