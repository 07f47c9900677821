package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func masterToken() MasterToken {
	return MasterToken{Cluster: "home", APIs: []string{"https://192.0.2.1:6443", "https://[2001:db8::1]:6443"},
		CAHash: sha256.Sum256([]byte("ca")), Secret: []byte("0123456789abcdef")}
}

// A token for masters is read back as it was made, with the white space of a terminal in it, and its secret is in no log.
func TestMasterToken(t *testing.T) {
	made := masterToken()
	text, err := made.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseMasterToken(" " + text[:20] + "\n  " + text[20:] + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, got); diff != "" {
		t.Error(diff)
	}
	for _, said := range []string{fmt.Sprint(got), fmt.Sprintf("%v %+v %#v", got, got, got)} {
		if strings.Contains(said, string(made.Secret)) || strings.Contains(said, hex.EncodeToString(made.Secret)) || !strings.Contains(said, made.ID()) {
			t.Errorf("in a log: %s", said)
		}
	}
}

// Neither kind of token is taken for the other, nor its hash, so that a node's token never gets the cluster's keys.
func TestTokensOfBothKinds(t *testing.T) {
	made := masterToken()
	text, err := made.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseToken(text); err == nil || !strings.Contains(err.Error(), "for another master") {
		t.Errorf("--join with a token for masters: %v", err)
	}
	if HashSecret(made.Secret) == HashMasterSecret(made.Secret) {
		t.Error("both kinds have one hash")
	}
	node := Token{Cluster: "home", Brokers: []string{"mqtts://192.0.2.1:8883"}, Secret: made.Secret}
	if text, err = node.Encode(); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		text:                       "this token is for nodes",
		"":                         "the join token is empty",
		"hunter2":                  "this is no join token for masters",
		"sm1.abc":                  "cut off or mistyped",
		"sm1.äöü":                  "characters that don't belong there",
		"sm1." + text[4:]:          "the join token is malformed",
		strings.Repeat("x", 1<<17): "it can't be one",
	} {
		if _, err := ParseMasterToken(given); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v, want %q", given, err, want)
		}
	}
}

// A token that could not be used is not made.
func TestMasterTokensThatAreNone(t *testing.T) {
	for name, change := range map[string]func(*MasterToken){
		"no master":    func(m *MasterToken) { m.APIs = nil },
		"not https":    func(m *MasterToken) { m.APIs = []string{"http://192.0.2.1:6443"} },
		"no authority": func(m *MasterToken) { m.CAHash = CAHash{} },
		"short secret": func(m *MasterToken) { m.Secret = m.Secret[1:] },
		"no cluster":   func(m *MasterToken) { m.Cluster = "" },
		"too many":     func(m *MasterToken) { m.APIs = append(m.APIs, make([]string, maxAPIs)...) },
	} {
		made := masterToken()
		change(&made)
		if _, err := made.Encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func FuzzParseMasterToken(f *testing.F) {
	text, err := masterToken().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("sm1.")
	f.Fuzz(func(t *testing.T, text string) {
		if token, err := ParseMasterToken(text); err == nil {
			if _, err := token.Encode(); err != nil {
				t.Errorf("%q is read, and can't be written: %v", text, err)
			}
		}
	})
}
