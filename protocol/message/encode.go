package message

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sort"

	"github.com/fxamacker/cbor/v2"
)

// Digest is the first half of a SHA-256.
type Digest [16]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether there is no digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// DigestOf is the digest of bytes.
func DigestOf(data []byte) Digest {
	sum := sha256.Sum256(data)
	return Digest(sum[:16])
}

// StatusDigest is the digest of everything an agent reports: the node and all its pods, in any order.
func StatusDigest(node []byte, pods []PodStatus) Digest {
	sorted := append([]PodStatus(nil), pods...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].UID < sorted[j].UID })
	h := sha256.New()
	field := func(b []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	field(node)
	for _, p := range sorted {
		field([]byte(p.UID))
		field(p.Status)
		field([]byte{b2i(p.Gone)})
	}
	return Digest(h.Sum(nil)[:16])
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// The encoding is CBOR with small integer keys: compact, self-describing enough that a newer version may add
// a field which an older one skips, and bounded while decoding.
var (
	encoding = must(cbor.EncOptions{Sort: cbor.SortCoreDeterministic}.EncMode())
	decoding = must(cbor.DecOptions{
		MaxArrayElements: 16 << 10,
		MaxMapPairs:      256,
		MaxNestedLevels:  8,
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

// Encode encodes any message of this package. Equal messages have equal encodings.
func Encode(m any) []byte {
	out, err := encoding.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("message: %T does not encode: %v", m, err)) // a type of this package is wrong
	}
	return out
}

// Decode reads a message of this package. Unknown fields are skipped; whatever is malformed is an error.
func Decode[T any](data []byte) (T, error) {
	var m T
	if err := decoding.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("decode %T: %w", m, err)
	}
	return m, nil
}
