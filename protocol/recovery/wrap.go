package recovery

import (
	"bytes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/chacha20poly1305"
)

// Bounds of a bundle.
const (
	maxFiles   = 32
	maxFile    = 64 << 10
	maxBundle  = 512 << 10 // encoded
	maxName    = 64
	MaxWrapped = maxBundle + wrapHead + chacha20poly1305.Overhead // of what Wrap returns, in bytes
)

const (
	wrapVersion   = 1
	wrapHead      = 1 + idSize + keySize
	wrapPurpose   = "skerry wrapped keys 1"
	backupPurpose = "skerry backup 1"
)

var (
	// ErrKey is wrapped by the errors of what was sealed for another recovery key.
	ErrKey = errors.New("it opens with another recovery key")
	// ErrDamaged is wrapped by the errors of what is not as it was made.
	ErrDamaged = errors.New("it is cut off or was changed")
	// ErrVersion is wrapped by the errors of what another version of Skerry has made.
	ErrVersion = errors.New("it is of another version of Skerry")
)

// Bundle is what another master of the cluster needs: the key files of a data directory.
type Bundle struct {
	Cluster string `cbor:"1,keyasint"` // its name
	Files   []File `cbor:"2,keyasint"`
}

// File is one of them.
type File struct {
	Name string `cbor:"1,keyasint"` // without a directory
	Data []byte `cbor:"2,keyasint"`
}

// String keeps the keys out of logs.
func (b Bundle) String() string {
	return fmt.Sprintf("%d key files of the cluster %s", len(b.Files), b.Cluster)
}

// GoString keeps the keys out of logs.
func (b Bundle) GoString() string { return b.String() }

// String keeps the keys out of logs.
func (f File) String() string { return f.Name }

// GoString keeps the keys out of logs.
func (f File) GoString() string { return f.Name }

func (b Bundle) check() error {
	if b.Cluster == "" || len(b.Files) == 0 || len(b.Files) > maxFiles {
		return fmt.Errorf("a bundle has a cluster and 1 to %d files", maxFiles)
	}
	seen := map[string]bool{}
	for _, f := range b.Files {
		if !goodName(f.Name) || seen[f.Name] {
			return fmt.Errorf("%q is no name of a key file", f.Name)
		}
		if len(f.Data) > maxFile {
			return fmt.Errorf("%s has more than %d bytes", f.Name, maxFile)
		}
		seen[f.Name] = true
	}
	return nil
}

// goodName allows names that mean a file in the directory where they are put, and nothing else.
func goodName(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return name != "" && len(name) <= maxName && name[0] != '.' && name[0] != '-'
}

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // a constant is wrong
	}
	return mode
}

var (
	encoding = must(cbor.EncOptions{Sort: cbor.SortCoreDeterministic}.EncMode())
	decoding = must(cbor.DecOptions{
		MaxArrayElements: maxFiles,
		MaxMapPairs:      16,
		MaxNestedLevels:  4,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
	}.DecMode())
)

// Wrap seals a bundle, so that the recipient's recovery key opens it. It needs no secret but what random gives.
func Wrap(b Bundle, to Recipient, random io.Reader) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("wrap the keys: %w", err)
	}
	plain, err := encoding.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("wrap the keys: %w", err)
	}
	if len(plain) > maxBundle {
		return nil, fmt.Errorf("wrap the keys: they have %d bytes, more than %d", len(plain), maxBundle)
	}
	head := append(make([]byte, 0, wrapHead), wrapVersion)
	head, shared, err := address(head, to, random)
	if err != nil {
		return nil, fmt.Errorf("wrap the keys: %w", err)
	}
	return sealer(shared, wrapPurpose, to, head).Seal(head, make([]byte, chacha20poly1305.NonceSize), plain, nil), nil
}

// Unwrap opens what Wrap sealed. Errors: ErrKey, ErrDamaged, ErrVersion.
func Unwrap(data []byte, key Key) (Bundle, error) {
	b, err := unwrap(data, key)
	if err != nil {
		return Bundle{}, fmt.Errorf("open the wrapped keys: %w", err)
	}
	return b, nil
}

func unwrap(data []byte, key Key) (b Bundle, err error) {
	switch {
	case len(data) < wrapHead+chacha20poly1305.Overhead || len(data) > MaxWrapped:
		return Bundle{}, fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(data))
	case data[0] != wrapVersion:
		return Bundle{}, fmt.Errorf("%w: version %d, not %d", ErrVersion, data[0], wrapVersion)
	}
	head := data[:wrapHead]
	shared, err := key.open(head[1:])
	if err != nil {
		return Bundle{}, err
	}
	plain, err := sealer(shared, wrapPurpose, key.Recipient(), head).Open(nil, make([]byte, chacha20poly1305.NonceSize), data[wrapHead:], nil)
	if err != nil {
		return Bundle{}, ErrDamaged
	}
	if err := decoding.Unmarshal(plain, &b); err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return b, b.check()
}

// address appends whom something is sealed to, and returns the secret that it shares with them.
func address(head []byte, to Recipient, random io.Reader) (out, shared []byte, err error) {
	var seed [keySize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, nil, fmt.Errorf("read random bytes: %w", err)
	}
	moment, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, nil, fmt.Errorf("make a key pair: %w", err)
	}
	if shared, err = exchange(moment, to); err != nil {
		return nil, nil, err
	}
	id := to.id()
	return append(append(head, id[:]...), moment.PublicKey().Bytes()...), shared, nil
}

// open is the other end of address.
func (k Key) open(addressed []byte) (shared []byte, err error) {
	if own := k.Recipient().id(); !bytes.Equal(own[:], addressed[:idSize]) {
		return nil, fmt.Errorf("%w, whose id is %x; the one given has the id %x", ErrKey, addressed[:idSize], own)
	}
	shared, err = exchange(k.private(), [keySize]byte(addressed[idSize:idSize+keySize]))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return shared, nil
}

// throwaway tells public keys that are none.
var throwaway = Key{}.private()

// exchange is X25519. It refuses a public key that would make the secret a known one (RFC 7748 section 6.1).
func exchange(private *ecdh.PrivateKey, public [keySize]byte) ([]byte, error) {
	key, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return nil, fmt.Errorf("read a public key: %w", err)
	}
	shared, err := private.ECDH(key)
	if err != nil {
		return nil, fmt.Errorf("agree on a secret: %w", err)
	}
	return shared, nil
}

// sealer is the cipher of what follows the head.
func sealer(shared []byte, purpose string, to Recipient, head []byte) cipher.AEAD {
	sum := sha256.Sum256(head)
	secret, err := hkdf.Extract(sha256.New, shared, []byte(salt))
	if err != nil {
		panic(err) // SHA-256 is always allowed
	}
	info := append(append([]byte(purpose+"\x00"), to[:]...), sum[:]...)
	key, err := hkdf.Expand(sha256.New, secret, string(info), chacha20poly1305.KeySize)
	if err != nil {
		panic(err) // the size is a constant
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err) // likewise
	}
	return aead
}
