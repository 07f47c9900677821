package recovery

import (
	"bufio"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Checked is what anybody can tell of a backup.
type Checked struct {
	Info
	KeyID string // of the recovery key that opens it
	Bytes int64  // of the file
}

// Check reads a backup to its end, whole and in order, in little memory and without the key: the checksum at the end
// fits what is before it. Errors: ErrDamaged, ErrVersion, and those of r.
func Check(r io.Reader) (Checked, error) {
	in := bufio.NewReaderSize(r, chunkSize)
	h, err := readHead(in)
	if err != nil {
		return Checked{}, err
	}
	sum := sha256.New()
	sum.Write(h.raw)
	total := int64(len(h.raw))
	// The last bytes read so far may be the checksum.
	held := make([]byte, 0, trailerSize+chunkSize)
	for {
		n, err := in.Read(held[len(held):cap(held)])
		held, total = held[:len(held)+n], total+int64(n)
		if more := len(held) - trailerSize; more > 0 {
			sum.Write(held[:more])
			held = held[:copy(held, held[more:])]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return Checked{}, err
		}
	}
	if string(sum.Sum(nil)) != string(held) {
		return Checked{}, fmt.Errorf("%w: the checksum at its end does not fit", ErrDamaged)
	}
	return Checked{Info: h.info, KeyID: h.keyID(), Bytes: total}, nil
}

// Reader reads a backup. What is read from it is the store's file, each byte of it as it was written: io.EOF comes only
// after the end was seen to be the end.
type Reader struct {
	Info   Info
	Bundle Bundle

	in     io.Reader
	left   int64 // bytes of chunks
	aead   cipher.AEAD
	number uint64
	sealed []byte
	plain  []byte // of the present chunk, not read yet
}

// Open opens a backup of that size, which Check has passed or not. Errors: ErrKey, ErrDamaged, ErrVersion.
func Open(file io.ReaderAt, size int64, key Key) (*Reader, error) {
	in := io.NewSectionReader(file, 0, size)
	h, err := readHead(in)
	if err != nil {
		return nil, err
	}
	shared, err := key.open(h.address())
	if err != nil {
		return nil, err
	}
	r := &Reader{
		Info: h.info, in: in, left: size - int64(len(h.raw)) - trailerSize,
		aead: sealer(shared, backupPurpose, key.Recipient(), h.raw), sealed: make([]byte, sealedChunk),
	}
	length := make([]byte, lengthSize)
	if _, err := io.ReadFull(r, length); err != nil {
		return nil, ended(err)
	}
	most := binary.BigEndian.Uint32(length)
	if most > MaxWrapped {
		return nil, fmt.Errorf("%w: its wrapped keys have %d bytes", ErrDamaged, most)
	}
	wrapped := make([]byte, most)
	if _, err := io.ReadFull(r, wrapped); err != nil {
		return nil, ended(err)
	}
	r.Bundle, err = Unwrap(wrapped, key)
	return r, err
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends within the keys", ErrDamaged)
	}
	return err
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if len(r.plain) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

func (r *Reader) next() error {
	if r.left == 0 && r.number > 0 {
		return io.EOF
	}
	size := min(r.left, sealedChunk)
	last := size == r.left
	if size <= int64(r.aead.Overhead()) { // none is empty
		return fmt.Errorf("%w: a chunk is too short", ErrDamaged)
	}
	if _, err := io.ReadFull(r.in, r.sealed[:size]); err != nil {
		return fmt.Errorf("read chunk %d: %w", r.number, err)
	}
	plain, err := r.aead.Open(r.sealed[:0], nonce(r.number, last), r.sealed[:size], nil)
	if err != nil {
		return fmt.Errorf("%w: chunk %d of it does not open", ErrDamaged, r.number)
	}
	r.plain, r.number, r.left = plain, r.number+1, r.left-size
	return nil
}
