package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/fxamacker/cbor/v2"

	"github.com/skerry-edge/skerry/protocol"
)

// Sizes of a token's parts, in bytes or items.
const (
	SecretSize   = 16
	maxToken     = 8 << 10
	maxBrokers   = 16
	maxBrokerURL = 512
	maxAccount   = 128
	checksumSize = 4
)

// tokenPrefix says that this is a Skerry join token, and of which layout.
const tokenPrefix = "sk1."

// Token is a join token: all that an agent needs to find a broker and to know its master through it.
//
//	"sk1." + base64url( CBOR of the fields | first 4 bytes of the SHA-256 of that CBOR )
type Token struct {
	Cluster  string   `cbor:"1,keyasint"`
	Brokers  []string `cbor:"2,keyasint"` // URLs, alternatives in this order
	CAHash   CAHash   `cbor:"3,keyasint"` // of the cluster's CA; zero: the broker's certificate is one of a public CA
	Exchange [32]byte `cbor:"4,keyasint"` // the cluster's X25519 public key
	Signing  [32]byte `cbor:"5,keyasint"` // the cluster's Ed25519 public key
	Secret   []byte   `cbor:"6,keyasint"` // SecretSize bytes
	// User and Password are the broker's account for joining, where the broker is not the master's own; empty: the
	// account is JoinUser with JoinPassword. A user in a broker's URL goes before either.
	User     string `cbor:"7,keyasint,omitempty"`
	Password string `cbor:"8,keyasint,omitempty"`
}

// JoinUser is the broker's account that joins and may do nothing else. It is no valid node name.
const JoinUser = "@join"

// ID names the token without giving the secret away: the same secret has the same id.
func (t Token) ID() string {
	sum := sha256.Sum256(append([]byte("skerry token id\x00"), t.Secret...))
	return hex.EncodeToString(sum[:4])
}

// HashSecret is what a master keeps of a token's secret, which has 128 random bits: nobody finds it by trying.
func HashSecret(secret []byte) [32]byte {
	return sha256.Sum256(append([]byte("skerry token secret 1\x00"), secret...))
}

// JoinPassword is the password of JoinUser. A broker sees it, and can't tell the secret from it.
func (t Token) JoinPassword() string {
	key, err := hkdf.Key(sha256.New, t.Secret, nil, "skerry join password 1", 24)
	if err != nil {
		panic(err) // the size is a constant
	}
	return base64.RawURLEncoding.EncodeToString(key)
}

// Account is the broker's account to join with.
func (t Token) Account() (user, password string) {
	if t.User != "" {
		return t.User, t.Password
	}
	return JoinUser, t.JoinPassword()
}

// String names the token for logs, without the secret.
func (t Token) String() string { return fmt.Sprintf("token %s of cluster %s", t.ID(), t.Cluster) }

// GoString is String: %#v gives no secret away either.
func (t Token) GoString() string { return t.String() }

var (
	tokenEncoding = must(cbor.EncOptions{Sort: cbor.SortCoreDeterministic}.EncMode())
	tokenDecoding = must(cbor.DecOptions{
		MaxArrayElements: maxBrokers, // the least that the library allows
		MaxMapPairs:      16,
		MaxNestedLevels:  4,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
	}.DecMode())
)

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // a constant above is wrong
	}
	return mode
}

// Encode is the token as people copy it. It fails when a field could not be read back.
func (t Token) Encode() (string, error) {
	if err := t.check(); err != nil {
		return "", fmt.Errorf("make a join token: %w", err)
	}
	return writeToken(tokenPrefix, t)
}

func writeToken(prefix string, token any) (string, error) {
	body, err := tokenEncoding.Marshal(token)
	if err != nil {
		return "", fmt.Errorf("make a join token: %w", err)
	}
	sum := sha256.Sum256(body)
	text := prefix + base64.RawURLEncoding.EncodeToString(append(body, sum[:checksumSize]...))
	if len(text) > maxToken {
		return "", fmt.Errorf("make a join token: it would have %d characters, more than %d; advertise fewer addresses", len(text), maxToken)
	}
	return text, nil
}

// Errors of ParseToken, for what people do to tokens.
var (
	errTokenEmpty   = errors.New("the join token is empty; the master prints one at its first start")
	errTokenPrefix  = errors.New("this is no join token: one begins with " + tokenPrefix + " (to read it from a file, write @FILE)")
	errTokenMaster  = errors.New("this token is for another master, and lets no node join; edgectl token create makes one for nodes")
	errTokenVersion = errors.New("the join token is of another version of Skerry: this one knows " + tokenPrefix + " tokens")
	errTokenLetters = errors.New("the join token has characters that don't belong there; copy it again, whole")
	errTokenDamaged = errors.New("the join token is cut off or mistyped; copy it again, whole")
)

// ParseToken reads what Encode wrote. White space, as e-mail and terminals put it in, does no harm.
func ParseToken(text string) (t Token, err error) {
	encoded, err := tokenText(text)
	switch {
	case err != nil:
		return Token{}, err
	case encoded == "":
		return Token{}, errTokenEmpty
	case strings.HasPrefix(encoded, masterTokenPrefix):
		return Token{}, errTokenMaster
	case !strings.HasPrefix(encoded, tokenPrefix):
		if head, _, dot := strings.Cut(encoded, "."); dot && len(head) > 2 && strings.HasPrefix(head, "sk") && strings.Trim(head[2:], "0123456789") == "" {
			return Token{}, errTokenVersion
		}
		return Token{}, errTokenPrefix
	}
	if err := readToken(encoded[len(tokenPrefix):], &t); err != nil {
		return Token{}, err
	}
	if err := t.check(); err != nil {
		return Token{}, fmt.Errorf("the join token is malformed: %w", err)
	}
	return t, nil
}

// tokenText takes white space out of a token.
func tokenText(text string) (string, error) {
	if len(text) > 2*maxToken {
		return "", fmt.Errorf("the join token has more than %d characters, it can't be one", maxToken)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text), nil
}

// readToken reads what stands behind the prefix.
func readToken(encoded string, into any) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		if strings.Trim(encoded, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return errTokenLetters
		}
		return errTokenDamaged
	}
	if len(raw) < checksumSize {
		return errTokenDamaged
	}
	body, checksum := raw[:len(raw)-checksumSize], raw[len(raw)-checksumSize:]
	if sum := sha256.Sum256(body); string(sum[:checksumSize]) != string(checksum) {
		return errTokenDamaged
	}
	if err := tokenDecoding.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the join token is malformed: %w", err)
	}
	return nil
}

func (t Token) check() error {
	if err := protocol.CheckLevel(t.Cluster); err != nil {
		return fmt.Errorf("cluster name: %w", err)
	}
	if len(t.Brokers) == 0 || len(t.Brokers) > maxBrokers {
		return fmt.Errorf("it names %d brokers, not 1 to %d", len(t.Brokers), maxBrokers)
	}
	for _, b := range t.Brokers {
		if b == "" || len(b) > maxBrokerURL {
			return fmt.Errorf("a broker's URL has %d characters, not 1 to %d", len(b), maxBrokerURL)
		}
	}
	if len(t.User) > maxAccount || len(t.Password) > maxAccount || (t.User == "") != (t.Password == "") {
		return fmt.Errorf("the broker's account is not a user and a password of at most %d characters each", maxAccount)
	}
	if len(t.Secret) != SecretSize {
		return fmt.Errorf("its secret has %d bytes, not %d", len(t.Secret), SecretSize)
	}
	return nil
}
