package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sampleToken() Token {
	t := Token{Cluster: "default", Brokers: []string{"mqtts://192.0.2.1:8883"}, Secret: []byte("0123456789abcdef")}
	for i := range 32 {
		t.CAHash[i], t.Exchange[i], t.Signing[i] = byte(i), byte(i+32), byte(i+64)
	}
	return t
}

// The token's format is final: tokens of yesterday's master join tomorrow's agents.
const sampleText = "sk1.pgFnZGVmYXVsdAKBdm1xdHRzOi8vMTkyLjAuMi4xOjg4ODMDWCAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHwRY" +
	"ICAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4_BVggQEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8GUDAxMjM0" +
	"NTY3ODlhYmNkZWaj5zyo"

func TestTokenKnownAnswer(t *testing.T) {
	t.Parallel()
	text, err := sampleToken().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if text != sampleText {
		t.Errorf("encoded as\n%s, want\n%s", text, sampleText)
	}
	got, err := ParseToken(sampleText)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleToken(), got); diff != "" {
		t.Error(diff)
	}
	if got.ID() != "b844d9a8" {
		t.Errorf("id %s", got.ID())
	}
	if user, password := got.Account(); user != JoinUser || password != "__fTvJAVrmjLtkNk-hUpMv3htV6AmgCh" {
		t.Errorf("account %s, password %s", user, password)
	}
	if hash := HashSecret(got.Secret); hex.EncodeToString(hash[:]) != "05bdeb8cb93440003d163064a69c6d789db38273940d1bde975f1d2e8ea2454a" {
		t.Errorf("hash %x", hash)
	}
}

// A token for a broker with a join account of its own.
func TestTokenWithAnAccount(t *testing.T) {
	t.Parallel()
	token := sampleToken()
	token.User, token.Password = "site7", "swordfish"
	text, err := token.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	if user, password := got.Account(); user != "site7" || password != "swordfish" {
		t.Errorf("account %s, %s", user, password)
	}
}

// A token survives e-mail and terminals.
func TestTokenWithWhiteSpace(t *testing.T) {
	t.Parallel()
	wrapped := " " + sampleText[:30] + "\r\n   " + sampleText[30:] + "\n"
	got, err := ParseToken(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleToken(), got); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedTokensAreExplained(t *testing.T) {
	t.Parallel()
	flip := func(i int) string {
		c := byte('A')
		if sampleText[i] == c {
			c = 'B'
		}
		return sampleText[:i] + string(c) + sampleText[i+1:]
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":             {" \n", errTokenEmpty},
		"a file's name":     {"/etc/token", errTokenPrefix},
		"a password":        {"hunter2", errTokenPrefix},
		"another version":   {"sk2." + sampleText[4:], errTokenVersion},
		"cut off at 1":      {sampleText[:len(sampleText)-1], errTokenDamaged},
		"cut off at half":   {sampleText[:len(sampleText)/2], errTokenDamaged},
		"only the prefix":   {"sk1.", errTokenDamaged},
		"mistyped early":    {flip(10), errTokenDamaged},
		"mistyped late":     {flip(len(sampleText) - 8), errTokenDamaged},
		"quoted":            {`"` + sampleText + `"`, errTokenPrefix},
		"strange character": {sampleText + "!", errTokenLetters},
	} {
		if _, err := ParseToken(c.text); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := ParseToken(strings.Repeat("x", 100_000)); err == nil {
		t.Error("a huge token was accepted")
	}
}

// What has a right checksum may still be no token.
func TestMalformedTokensAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Token){
		"no cluster":      func(t *Token) { t.Cluster = "" },
		"strange cluster": func(t *Token) { t.Cluster = "a/b" },
		"no brokers":      func(t *Token) { t.Brokers = nil },
		"many brokers":    func(t *Token) { t.Brokers = make([]string, 17) },
		"an empty broker": func(t *Token) { t.Brokers = []string{""} },
		"a long broker":   func(t *Token) { t.Brokers = []string{strings.Repeat("x", 513)} },
		"half an account": func(t *Token) { t.User = "@join" },
		"a long account":  func(t *Token) { t.User, t.Password = "@join", strings.Repeat("x", 129) },
		"a short secret":  func(t *Token) { t.Secret = t.Secret[:15] },
	} {
		token := sampleToken()
		change(&token)
		if _, err := token.Encode(); err == nil {
			t.Errorf("%s: was encoded", name)
		}
		body, err := tokenEncoding.Marshal(token)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseToken(withChecksum(body)); err == nil || !strings.HasPrefix(err.Error(), "the join token is malformed: ") {
			t.Errorf("%s: parsed as %v, %v", name, got, err)
		}
	}
}

func withChecksum(body []byte) string {
	sum := sha256.Sum256(body)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(body, sum[:checksumSize]...))
}

// Whatever is parsed can be encoded and is the same when parsed again; nothing panics.
func FuzzToken(f *testing.F) {
	body, _ := tokenEncoding.Marshal(sampleToken())
	f.Add(body)
	f.Add([]byte{})
	f.Add([]byte{0xa6})
	f.Fuzz(func(t *testing.T, body []byte) {
		ParseToken(string(body))
		token, err := ParseToken(withChecksum(body))
		if err != nil {
			return
		}
		text, err := token.Encode()
		if err != nil {
			t.Fatalf("parsed, but does not encode: %v", err)
		}
		again, err := ParseToken(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(token, again); diff != "" {
			t.Error(diff)
		}
	})
}
