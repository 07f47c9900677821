package message

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Limits of a desired state, in bytes.
const (
	MaxContent = 4 << 20   // of an encoded Content, which bounds what an agent allocates for one
	MaxPacked  = 500 << 10 // of its compressed form: with position, digest and envelope it fits into one message
)

// ErrTooBig is wrapped by Pack when a content exceeds either limit.
var ErrTooBig = errors.New("the desired state is too big")

// Packer compresses contents. It may be used by several goroutines.
type Packer struct{ encoder *zstd.Encoder }

// NewPacker returns a Packer. It holds about a megabyte once it has been used.
func NewPacker() *Packer {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(1<<20))
	return &Packer{encoder: must(encoder, err)}
}

// Pack is the document that says content, already encoded, at a position.
func (p *Packer) Pack(position Position, content []byte) (Desired, error) {
	if len(content) > MaxContent {
		return Desired{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooBig, len(content), MaxContent)
	}
	packed := p.encoder.EncodeAll(content, nil)
	if len(packed) > MaxPacked {
		return Desired{}, fmt.Errorf("%w: %d bytes compressed, at most %d are allowed", ErrTooBig, len(packed), MaxPacked)
	}
	return Desired{Position: position, Digest: DigestOf(content), Content: packed}, nil
}

// Unpack is the content of a document, encoded and decoded, checked against its digest.
func (d Desired) Unpack() (encoded []byte, content Content, err error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxContent))
	if err != nil {
		return nil, Content{}, fmt.Errorf("unpack desired state %s: %w", d.Position, err)
	}
	defer decoder.Close()
	encoded, err = decoder.DecodeAll(d.Content, nil)
	if err != nil {
		return nil, Content{}, fmt.Errorf("unpack desired state %s: %w", d.Position, err)
	}
	if found := DigestOf(encoded); found != d.Digest {
		return nil, Content{}, fmt.Errorf("unpack desired state %s: its digest is %s instead of %s", d.Position, found, d.Digest)
	}
	content, err = Decode[Content](encoded)
	return encoded, content, err
}
