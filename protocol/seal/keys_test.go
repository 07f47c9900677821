package seal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// The private keys of RFC 7748 section 6.1 (Alice) and RFC 8032 section 7.1 (test 1) have the public keys that
// the RFCs print.
func TestKeysKnownAnswer(t *testing.T) {
	t.Parallel()
	keys, err := NewKeys(bytes.NewReader(unhex(t, aliceX25519+test1Ed25519)))
	if err != nil {
		t.Fatal(err)
	}
	exchange, signing := keys.Public()
	if got := hex.EncodeToString(exchange[:]); got != "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a" {
		t.Errorf("X25519 public key %s", got)
	}
	if got := hex.EncodeToString(signing[:]); got != "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a" {
		t.Errorf("Ed25519 public key %s", got)
	}
}

const (
	aliceX25519  = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
	test1Ed25519 = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestKeysNeedRandomness(t *testing.T) {
	t.Parallel()
	if _, err := NewKeys(strings.NewReader("too short")); err == nil {
		t.Error("keys were made of 9 bytes")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	keys, err := NewKeys(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	token := Token{Cluster: "default", Secret: []byte("0123456789abcdef")}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(format+format, keys, token)
		for _, secret := range []string{"0707", "7, 7", "7 7", "0123", "48, 49", "48 49", "0x30"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s prints %q", format, text)
			}
		}
	}
}
