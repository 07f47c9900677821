package keyring

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	idSize  = 4
	keySize = chacha20poly1305.KeySize

	// Overhead is by how many bytes a sealed value is longer than its content.
	Overhead = idSize + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

var (
	// ErrNoKey is wrapped by the errors of what was sealed under a key that is not in the file, or has no file.
	ErrNoKey = errors.New("it is encrypted under a key that is not there")
	// ErrDamaged is wrapped by the errors of a value that was changed, or belongs elsewhere.
	ErrDamaged = errors.New("the encrypted value was changed")
)

// Ring is the content of a key file. It never changes; methods that change something return another Ring. The zero
// Ring opens nothing.
type Ring struct {
	path string
	keys []key
}

type key struct {
	id   [idSize]byte
	raw  []byte
	aead cipher.AEAD
}

// New is a Ring with one new key, for a file that Keep makes.
func New(path string) (*Ring, error) { return (&Ring{path: path}).Renewed() }

// Renewed is the Ring with a new key in front.
func (r *Ring) Renewed() (*Ring, error) {
	raw := make([]byte, keySize)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	k, err := newKey(raw)
	if err != nil {
		return nil, err
	}
	return &Ring{path: r.path, keys: append([]key{k}, r.keys...)}, nil
}

// Newest is the Ring without all but its first key.
func (r *Ring) Newest() *Ring { return &Ring{path: r.path, keys: r.keys[:1:1]} }

// Path is where the file is.
func (r *Ring) Path() string { return r.path }

// String keeps the keys out of logs.
func (r *Ring) String() string { return fmt.Sprintf("%d keys of %s", len(r.keys), r.path) }

// GoString keeps the keys out of logs.
func (r *Ring) GoString() string { return r.String() }

func newKey(raw []byte) (key, error) {
	aead, err := chacha20poly1305.NewX(raw)
	if err != nil {
		return key{}, fmt.Errorf("use a key: %w", err)
	}
	sum := sha256.Sum256(append([]byte("skerry key id\x00"), raw...))
	return key{id: [idSize]byte(sum[:]), raw: raw, aead: aead}, nil
}

// Seal encrypts a value under the first key. The context says which value it is.
func (r *Ring) Seal(context, plain []byte) []byte {
	k := r.keys[0]
	out := make([]byte, idSize+chacha20poly1305.NonceSizeX, len(plain)+Overhead)
	copy(out, k.id[:])
	nonce := out[idSize:]
	rand.Read(nonce) // never fails; the program ends instead
	return k.aead.Seal(out, nonce, plain, context)
}

// Open returns what was sealed under the same context. Errors: ErrNoKey, ErrDamaged.
func (r *Ring) Open(context, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, fmt.Errorf("%w: it is cut off", ErrDamaged)
	}
	for _, k := range r.keys {
		if !bytes.Equal(k.id[:], sealed[:idSize]) {
			continue
		}
		nonce, text := sealed[idSize:idSize+chacha20poly1305.NonceSizeX], sealed[idSize+chacha20poly1305.NonceSizeX:]
		plain, err := k.aead.Open(make([]byte, 0, len(text)), nonce, text, context)
		if err != nil {
			return nil, fmt.Errorf("%w since, or belongs elsewhere", ErrDamaged)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("%w: %s has no key %x", ErrNoKey, r.path, sealed[:idSize])
}

const header = "# Whoever has this file can read the Secrets that lie encrypted beside it. Keep a copy apart from their backups.\n" +
	"# The first key encrypts, all decrypt.\n"

func (r *Ring) encode() []byte {
	out := []byte(header)
	for _, k := range r.keys {
		out = fmt.Appendf(out, "%x %s\n", k.id, base64.StdEncoding.EncodeToString(k.raw))
	}
	return out
}

func decode(path string, text []byte) (*Ring, error) {
	r := &Ring{path: path}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		fields := bytes.Fields(line)
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		k, err := decodeKey(fields)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		r.keys = append(r.keys, k)
	}
	if len(r.keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return r, nil
}

func decodeKey(fields [][]byte) (key, error) {
	if len(fields) != 2 {
		return key{}, errors.New("it is not an id and a key")
	}
	raw, err := base64.StdEncoding.DecodeString(string(fields[1]))
	if err != nil || len(raw) != keySize {
		return key{}, errors.New("it has no key of 32 bytes in base64")
	}
	k, err := newKey(raw)
	if err == nil && hex.EncodeToString(k.id[:]) != string(fields[0]) {
		err = errors.New("the key does not belong to the id before it")
	}
	return k, err
}
