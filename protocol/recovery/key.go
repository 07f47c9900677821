package recovery

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

const (
	keySize      = 32
	checksumSize = 3 // makes 35 bytes, which base32 writes without padding
	groupSize    = 8 // letters between two dashes
	maxText      = 512

	keyPrefix       = "skr1"
	recipientPrefix = "skrp1"
)

// salt of all that is derived here.
const salt = "skerry recovery 1"

// Key is a recovery key. It opens every backup that was made for it, and with them the whole cluster.
type Key struct{ secret [keySize]byte }

// NewKey draws a key.
func NewKey(random io.Reader) (Key, error) {
	var k Key
	if _, err := io.ReadFull(random, k.secret[:]); err != nil {
		return Key{}, fmt.Errorf("read random bytes for a recovery key: %w", err)
	}
	return k, nil
}

// Text is the key as people keep it: "skr1-" and seven groups of eight letters and digits, a checksum among them.
func (k Key) Text() string { return encode(keyPrefix, k.secret) }

// String keeps the key out of logs.
func (k Key) String() string { return "recovery key " + k.Recipient().ID() }

// GoString keeps the key out of logs.
func (k Key) GoString() string { return k.String() }

// Recipient is whom one seals to, so that this key opens it.
func (k Key) Recipient() Recipient { return Recipient(k.private().PublicKey().Bytes()) }

func (k Key) private() *ecdh.PrivateKey {
	raw, err := hkdf.Key(sha256.New, k.secret[:], []byte(salt), "x25519", keySize)
	if err != nil {
		panic(err) // the size is a constant
	}
	private, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		panic(err) // the size is the right one
	}
	return private
}

// Errors of ParseKey, for what people do to keys.
var (
	errKeyEmpty  = errors.New("there is no recovery key in it")
	errKeyPrefix = errors.New("this is no recovery key: one begins with " + keyPrefix + "-")
	errKeyPublic = errors.New("this is the public half of a recovery key; the key itself begins with " + keyPrefix + "-")
	errKeyTyped  = errors.New("the recovery key is cut off or mistyped; compare it with where you keep it, letter by letter")
)

// ParseKey reads what Text wrote. Capital letters, white space, missing dashes and lines that begin with # do no harm.
func ParseKey(text string) (Key, error) {
	secret, err := decode(keyPrefix, text)
	return Key{secret}, err
}

// Recipient is the public half of a recovery key.
type Recipient [keySize]byte

// ID names the key to people and programs, without giving anything away.
func (r Recipient) ID() string {
	id := r.id()
	return hex.EncodeToString(id[:])
}

// IsZero reports whether there is none.
func (r Recipient) IsZero() bool { return r == Recipient{} }

// String is the recipient as a file and the API have it.
func (r Recipient) String() string { return encode(recipientPrefix, r) }

// ParseRecipient reads what String wrote.
func ParseRecipient(text string) (Recipient, error) {
	raw, err := decode(recipientPrefix, text)
	if err != nil {
		return Recipient{}, err
	}
	if _, err := exchange(throwaway, raw); err != nil {
		return Recipient{}, errors.New("no recovery key has this public half")
	}
	return raw, nil
}

const idSize = 8

func (r Recipient) id() [idSize]byte {
	sum := sha256.Sum256(append([]byte("skerry recovery key id\x00"), r[:]...))
	return [idSize]byte(sum[:])
}

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func encode(prefix string, raw [keySize]byte) string {
	text := letters.EncodeToString(append(raw[:], checksum(prefix, raw[:])...))
	for at := 0; at < len(text); at += groupSize {
		prefix += "-" + text[at:min(at+groupSize, len(text))]
	}
	return prefix
}

func decode(prefix, text string) (raw [keySize]byte, err error) {
	if len(text) > maxText {
		return raw, fmt.Errorf("a recovery key has fewer than %d characters", maxText)
	}
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			kept.WriteString(line)
		}
	}
	text = strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, kept.String())
	switch encoded, ok := strings.CutPrefix(text, prefix); {
	case text == "":
		return raw, errKeyEmpty
	case !ok && prefix == keyPrefix && strings.HasPrefix(text, recipientPrefix):
		return raw, errKeyPublic
	case !ok && prefix == recipientPrefix:
		return raw, errors.New("this is no public half of a recovery key: one begins with " + recipientPrefix + "-")
	case !ok:
		return raw, errKeyPrefix
	default:
		text = encoded
	}
	all, err := letters.DecodeString(text)
	if err != nil || len(all) != keySize+checksumSize || letters.EncodeToString(all) != text ||
		string(checksum(prefix, all[:keySize])) != string(all[keySize:]) {
		return raw, errKeyTyped // the library's words would quote the key
	}
	return [keySize]byte(all), nil
}

func checksum(prefix string, raw []byte) []byte {
	sum := sha256.Sum256(append([]byte("skerry recovery text\x00"+prefix+"\x00"), raw...))
	return sum[:checksumSize]
}
