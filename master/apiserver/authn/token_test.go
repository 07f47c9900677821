package authn

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

// world is a store with the account app, the pod p and the keys that sign.
type world struct {
	t     testing.TB
	store store.Store
	keys  Keys
}

func newWorld(t testing.TB) *world {
	t.Helper()
	keys, err := NewKeys(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t, store.NewMemory(store.Config{Schema: resource.Schema()}), keys}
	w.put(resource.ServiceAccounts, &corev1.ServiceAccount{ObjectMeta: object("app", "account-1")})
	w.put(resource.Pods, &corev1.Pod{ObjectMeta: object("p", "pod-1")})
	return w
}

func object(name, uid string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(uid)}
}

func (w *world) put(r *resource.Resource, o resource.Object) {
	w.t.Helper()
	value, err := resource.Encode(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.change(change.Change{Key: r.Key(o.GetNamespace(), o.GetName()), Base: change.Any, Value: value})
}

func (w *world) change(c change.Change) {
	w.t.Helper()
	if _, err := w.store.Commit(context.Background(), []change.Change{c}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sign(edit ...func(*Claim)) string {
	w.t.Helper()
	c := Claim{
		ID: "token-1", Account: Ref{"app", "account-1"}, Namespace: "default", Audiences: []string{Audience, "vault"},
		Issued: now, Expires: now.Add(time.Hour),
	}
	for _, e := range edit {
		e(&c)
	}
	token, err := w.keys.Sign(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func (w *world) account(token string, at time.Time, audiences ...string) (User, []string, error) {
	if audiences == nil {
		audiences = []string{Audience}
	}
	return w.keys.Account(token, audiences, w.store.View(), at)
}

func (w *world) refused(what, token string, at time.Time, why string, audiences ...string) {
	w.t.Helper()
	u, _, err := w.account(token, at, audiences...)
	if err == nil || !strings.Contains(err.Error(), why) {
		w.t.Errorf("%s: %v, %v", what, u, err)
	}
	if explained := errors.As(err, &Refusal{}); explained != (why != errToken.Error()) {
		w.t.Errorf("%s: what is not genuine is explained, or the other way around: %v", what, err)
	}
}

// An account is who Kubernetes says that it is.
func TestAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u, audiences, err := w.account(w.sign(func(c *Claim) { c.Pod = &Ref{"p", "pod-1"} }), now, "vault", "other")
	if err != nil {
		t.Fatal(err)
	}
	if u.Name != "system:serviceaccount:default:app" || u.UID != "account-1" ||
		!slices.Equal(u.Groups, []string{"system:serviceaccounts", "system:serviceaccounts:default"}) || !slices.Equal(audiences, []string{"vault"}) {
		t.Errorf("it is %v for %v", u, audiences)
	}
	for key, want := range map[string]string{"credential-id": "JTI=token-1", "pod-name": "p", "pod-uid": "pod-1"} {
		if got := u.Extra["authentication.kubernetes.io/"+key]; !slices.Equal(got, []string{want}) {
			t.Errorf("extra %s is %v", key, got)
		}
	}
}

// A token ends with its time, whatever clock made it; with the clock at 1970 it has not ended yet.
func TestTokensEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refused("an hour later", w.sign(), now.Add(time.Hour), "ended at 2030-06-01T13:00:00Z")
	w.refused("by a clock that ran ahead", w.sign(), now.AddDate(-2, 0, 0), "was made at 2030-06-01T12:00:00Z by a clock that ran ahead")
	old := w.sign(func(c *Claim) { c.Issued, c.Expires = time.Unix(60, 0), time.Unix(3660, 0) })
	w.refused("of 1970, and the clock was set", old, now, "ended at 1970-01-01T01:01:00Z")
	w.refused("of 1970, an hour later", old, time.Unix(3700, 0), "ended at")
	for name, at := range map[string]time.Time{"before it ends": now.Add(time.Hour - time.Second), "the clock put back a bit": now.Add(-time.Minute), "1970": time.Unix(99, 0)} {
		if _, _, err := w.account(w.sign(), at); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A token is for those audiences alone that it names.
func TestTokensAreForAnAudience(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refused("for somebody else", w.sign(func(c *Claim) { c.Audiences = []string{"vault"} }), now, `is for ["vault"], not for ["https://kubernetes.default`)
	w.refused("for nobody", w.sign(func(c *Claim) { c.Audiences = nil }), now, "is for []")
	w.refused("shown to somebody else", w.sign(), now, "not for", "bank")
}

// A token is worth nothing once its account, or what it is bound to, was deleted; a successor of the same name does not
// bring it back.
func TestTokensRestOnTheirObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain, bound := w.sign(), w.sign(func(c *Claim) { c.Pod = &Ref{"p", "pod-1"} })
	w.put(resource.Pods, &corev1.Pod{ObjectMeta: object("p", "pod-2")})
	w.refused("another pod", bound, now, "the pod p that the token rests on was deleted")
	ending := object("p", "pod-1")
	ending.DeletionTimestamp = &metav1.Time{Time: now}
	w.put(resource.Pods, &corev1.Pod{ObjectMeta: ending})
	if _, _, err := w.account(bound, now.Add(farewell)); err != nil {
		t.Errorf("a pod that ends: %v", err)
	}
	w.refused("a pod that has not gone", bound, now.Add(farewell+time.Second), "was deleted")
	w.change(change.Change{Key: resource.Pods.Key("default", "p"), Base: change.Any})
	w.refused("no pod", bound, now, "was deleted")
	if _, _, err := w.account(plain, now); err != nil {
		t.Errorf("an unbound token: %v", err)
	}
	for what, edit := range map[string]func(*Claim){
		"secret": func(c *Claim) { c.Secret = &Ref{"s", "1"} },
		"node":   func(c *Claim) { c.Node = &Ref{"n", "1"} },
	} {
		w.refused(what, w.sign(edit), now, "the "+what)
	}
	w.put(resource.ServiceAccounts, &corev1.ServiceAccount{ObjectMeta: object("app", "account-2")})
	w.refused("another account", plain, now, "the service account app that the token rests on was deleted")
	w.change(change.Change{Key: resource.ServiceAccounts.Key("default", "app"), Base: change.Any})
	w.refused("no account", plain, now, "was deleted")
}

// Nothing but what these keys have signed, as they sign it, is a token: no other algorithm, no change, no other way to
// write the same.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.sign()
	parts := strings.Split(good, ".")
	public := w.keys.keys[0].private.Public().(ed25519.PublicKey)
	encode := base64.RawURLEncoding.EncodeToString
	hs256 := func(kid string) string {
		signed := encode([]byte(`{"alg":"HS256","kid":"`+kid+`","typ":"JWT"}`)) + "." + parts[1]
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(signed))
		return signed + "." + encode(mac.Sum(nil))
	}
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	var h struct{ Kid string }
	if err := json.Unmarshal(header, &h); err != nil || h.Kid == "" {
		t.Fatalf("the header is %s, %v", header, err)
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	other := newWorld(t)
	other.keys.keys[0].header = w.keys.keys[0].header
	for name, token := range map[string]string{
		"none":                      encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"none with our key id":      encode([]byte(`{"alg":"none","kid":"`+h.Kid+`","typ":"JWT"}`)) + "." + parts[1] + ".",
		"no signature":              parts[0] + "." + parts[1] + ".",
		"two parts":                 parts[0] + "." + parts[1],
		"four parts":                good + ".x",
		"HS256 with the public key": hs256(h.Kid),
		"another key":               other.sign(),
		"another payload":           parts[0] + "." + encode([]byte(strings.Replace(string(payload), "app", "adm", 2))) + "." + parts[2],
		"another header":            encode([]byte(strings.Replace(string(header), `"JWT"`, `"jwt"`, 1))) + "." + parts[1] + "." + parts[2],
		"padding":                   good + "=",
		"a line break":              parts[0] + "." + parts[1] + "." + parts[2][:10] + "\n" + parts[2][10:],
		"empty":                     "",
		"dots":                      "..",
		"too large":                 parts[0] + "." + strings.Repeat("A", MaxToken) + "." + parts[2],
	} {
		w.refused(name, token, now, errToken.Error())
	}
	if _, _, err := w.account(good, now); err != nil {
		t.Errorf("the one that is not forged: %v", err)
	}
}

// Keys outlive a file, in their order: the first signs, and what the others have signed is good until they are taken out.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.sign()
	before, err := w.keys.PEM()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := NewKeys(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := fresh.PEM()
	if err != nil {
		t.Fatal(err)
	}
	if w.keys, err = ParseKeys(append(text, before...)); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{old, w.sign()} {
		if _, _, err := w.account(token, now); err != nil {
			t.Error(err)
		}
	}
	if w.keys, err = ParseKeys(text); err != nil {
		t.Fatal(err)
	}
	w.refused("of a key that was taken out", old, now, errToken.Error())
	for name, bad := range map[string]string{"empty": "", "cut off": string(text[:60]), "too many": strings.Repeat(string(text), maxKeys+1), "a certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := ParseKeys([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if said := fmt.Sprintf("%v %+v %#v %s", w.keys, w.keys, w.keys, w.keys); strings.Count(said, "(keys)") != 4 {
		t.Errorf("it prints %s", said)
	}
}

// A token that would be too large to be shown is not made.
func TestTokensAreSmall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.keys.Sign(Claim{Audiences: []string{strings.Repeat("a", MaxToken)}}); err == nil {
		t.Error("it was made")
	}
}

// No text makes the parser fall over, or is a token that nobody has signed.
func FuzzToken(f *testing.F) {
	w := newWorld(f)
	good := w.sign()
	f.Add(good)
	f.Add(good[:len(good)-2])
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := w.keys.open(text); err == nil && text != good {
			t.Errorf("%s is a token", text)
		}
	})
}
