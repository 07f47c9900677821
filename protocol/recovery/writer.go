package recovery

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"
)

// Writer writes a backup, in memory for two chunks. What is written to it is the store's file.
type Writer struct {
	w      io.Writer
	sum    hash.Hash
	aead   cipher.AEAD
	number uint64
	held   []byte // of the chunk to come
	sealed []byte
}

// NewWriter begins a backup for a recipient, with the bundle that Wrap made for them.
func NewWriter(w io.Writer, to Recipient, info Info, wrapped []byte, random io.Reader) (*Writer, error) {
	text, err := json.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("begin a backup: %w", err)
	}
	if len(text) > maxInfo {
		return nil, fmt.Errorf("begin a backup: its head has %d bytes, more than %d", len(text), maxInfo)
	}
	if len(wrapped) > MaxWrapped {
		return nil, fmt.Errorf("begin a backup: the wrapped keys have %d bytes, more than %d", len(wrapped), MaxWrapped)
	}
	head, shared, err := address(append([]byte(magic), version), to, random)
	if err != nil {
		return nil, fmt.Errorf("begin a backup: %w", err)
	}
	head = append(binary.BigEndian.AppendUint16(head, uint16(len(text))), text...)
	out := &Writer{
		w: w, sum: sha256.New(), aead: sealer(shared, backupPurpose, to, head),
		held: make([]byte, 0, chunkSize), sealed: make([]byte, 0, sealedChunk),
	}
	if err := out.put(head); err != nil {
		return nil, err
	}
	if _, err := out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(wrapped)))); err != nil {
		return nil, err
	}
	if _, err := out.Write(wrapped); err != nil {
		return nil, err
	}
	return out, nil
}

// Write implements io.Writer. A full chunk goes out when more comes after it: it might be the last.
func (w *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if len(w.held) == chunkSize {
			if err := w.chunk(false); err != nil {
				return n, err
			}
		}
		took := copy(w.held[len(w.held):chunkSize], p)
		w.held = w.held[:len(w.held)+took]
		n, p = n+took, p[took:]
	}
	return n, nil
}

// Close writes the end. Without it the backup is none.
func (w *Writer) Close() error {
	if err := w.chunk(true); err != nil {
		return err
	}
	_, err := w.w.Write(w.sum.Sum(nil))
	return err
}

func (w *Writer) chunk(last bool) error {
	w.sealed = w.aead.Seal(w.sealed[:0], nonce(w.number, last), w.held, nil)
	w.number, w.held = w.number+1, w.held[:0]
	return w.put(w.sealed)
}

func (w *Writer) put(data []byte) error {
	w.sum.Write(data) // never fails
	_, err := w.w.Write(data)
	return err
}
