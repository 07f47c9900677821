package recovery

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	magic        = "SKRYBAK"
	version      = 1
	fixedHead    = len(magic) + 1 + idSize + keySize + 2
	maxInfo      = 4 << 10
	chunkSize    = 64 << 10
	sealedChunk  = chunkSize + chacha20poly1305.Overhead
	trailerSize  = 32 // SHA-256
	lengthSize   = 4
	addressStart = len(magic) + 1
)

// Info is what a backup says of itself to everybody. It can't be changed without the seals breaking.
type Info struct {
	Cluster string    `json:"cluster"`
	Term    uint32    `json:"term"`  // of the epoch,
	Start   uint32    `json:"start"` // see package change of the master
	Rev     uint64    `json:"revision"`
	Time    time.Time `json:"time"`    // as the master's clock had it
	Version string    `json:"version"` // of the master
	Store   int64     `json:"store"`   // bytes of the store's file
}

// head is all that stands before the chunks.
type head struct {
	raw  []byte
	info Info
}

// keyID names the recovery key that opens it.
func (h head) keyID() string { return hex.EncodeToString(h.address()[:idSize]) }

func (h head) address() []byte { return h.raw[addressStart : addressStart+idSize+keySize] }

// readHead reads no more than the head.
func readHead(r io.Reader) (h head, err error) {
	h.raw = make([]byte, fixedHead)
	if _, err := io.ReadFull(r, h.raw); err != nil {
		return head{}, headError(h.raw, err)
	}
	switch found := h.raw[len(magic)]; {
	case !bytes.HasPrefix(h.raw, []byte(magic)):
		return head{}, headError(h.raw, io.EOF)
	case found != version:
		return head{}, fmt.Errorf("%w: this is a backup of version %d, known here is %d", ErrVersion, found, version)
	}
	size := int(binary.BigEndian.Uint16(h.raw[fixedHead-2:]))
	if size > maxInfo {
		return head{}, fmt.Errorf("%w: its head has %d bytes", ErrDamaged, size)
	}
	h.raw = append(h.raw, make([]byte, size)...)
	if _, err := io.ReadFull(r, h.raw[fixedHead:]); err != nil {
		return head{}, headError(h.raw, err)
	}
	if err := json.Unmarshal(h.raw[fixedHead:], &h.info); err != nil || h.info.Store < 0 {
		return head{}, fmt.Errorf("%w: its head makes no sense", ErrDamaged)
	}
	return h, nil
}

// headError tells a file that is something else from one that ends too early.
func headError(begins []byte, err error) error {
	if !bytes.HasPrefix(begins, []byte(magic)) && (err == io.EOF || err == io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it does not begin as a backup of Skerry does", ErrDamaged)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends within its head", ErrDamaged)
	}
	return err
}

// nonce is that of a chunk; the last one has a mark, so that none can be left out at the end.
func nonce(number uint64, last bool) []byte {
	out := binary.BigEndian.AppendUint64(make([]byte, 3, chacha20poly1305.NonceSize), number)
	if last {
		return append(out, 1)
	}
	return append(out, 0)
}
