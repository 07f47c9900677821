package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Run names one run of one process. Number orders runs of the same data directory: it is incremented and
// fsynced at each start. Nonce makes keys unique even when a disk is cloned or a backup restored.
type Run struct {
	Number uint32
	Nonce  uint64
}

// IsZero reports whether the run is the zero one: "nobody's", to which retained messages are addressed.
func (r Run) IsZero() bool { return r == Run{} }

func (r Run) String() string { return fmt.Sprintf("%d-%016x", r.Number, r.Nonce) }

func (r Run) bytes() []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 12), r.Number)
	return binary.BigEndian.AppendUint64(out, r.Nonce)
}

// Versions of the envelope. The header is the same for all; the version says what follows it.
const (
	Plain   byte = 1 // the message itself: the leader's announcement, which is signed
	Sealed  byte = 2 // what a Box seals
	Joining byte = 3 // a public key, and what is sealed with it: see OpenJoin
)

// headerSize is version, run number, run nonce, sequence; all big endian.
const headerSize = 1 + 4 + 8 + 8

// ErrMalformed is wrapped by everything that Parse refuses.
var ErrMalformed = errors.New("malformed envelope")

// Envelope is what travels in every message of every topic: who sent it (which run), which of its messages
// this is, and a body.
//
//	| version 1 | run number 4 | run nonce 8 | sequence 8 | body … |      big endian
type Envelope struct {
	Version  byte
	Sender   Run
	Sequence uint64 // of the sender's run, growing by at least one with each message of a topic
	Body     []byte
}

func appendHeader(out []byte, version byte, sender Run, sequence uint64) []byte {
	out = append(out, version)
	out = append(out, sender.bytes()...)
	return binary.BigEndian.AppendUint64(out, sequence)
}

// Write encodes an envelope whose body is not sealed.
func Write(sender Run, sequence uint64, body []byte) []byte {
	out := appendHeader(make([]byte, 0, headerSize+len(body)), Plain, sender, sequence)
	return append(out, body...)
}

// Parse reads an envelope of any version without opening it: nothing in it is proven. The body aliases raw.
func Parse(raw []byte) (Envelope, error) {
	if len(raw) < headerSize {
		return Envelope{}, fmt.Errorf("%w: %d bytes are less than a header", ErrMalformed, len(raw))
	}
	if raw[0] < Plain || raw[0] > Joining {
		return Envelope{}, fmt.Errorf("%w: version %d is not known here", ErrMalformed, raw[0])
	}
	e := Envelope{
		Version:  raw[0],
		Sender:   Run{Number: binary.BigEndian.Uint32(raw[1:]), Nonce: binary.BigEndian.Uint64(raw[5:])},
		Sequence: binary.BigEndian.Uint64(raw[13:]),
		Body:     raw[headerSize:],
	}
	if e.Sender.IsZero() {
		return Envelope{}, fmt.Errorf("%w: the sender's run is zero", ErrMalformed)
	}
	return e, nil
}

// Read is Parse for an envelope that must not be sealed.
func Read(raw []byte) (Envelope, error) {
	e, err := Parse(raw)
	if err == nil && e.Version != Plain {
		return Envelope{}, fmt.Errorf("%w: version %d is a sealed one", ErrMalformed, e.Version)
	}
	return e, err
}

// Window refuses what was seen before: within one run, the sequence of each topic only grows. It belongs to
// one peer and is reset when the peer's run changes.
type Window struct {
	run   Run
	floor uint64
	last  map[string]uint64 // by topic
}

// Reset starts over for another run.
func (w *Window) Reset(run Run) { w.ResetAt(run, 0) }

// ResetAt starts over for another run, whose envelopes up to a sequence, of whatever topic, count as seen: what
// it sent before it was proven to be the current one may be recorded.
func (w *Window) ResetAt(run Run, floor uint64) {
	w.run, w.floor, w.last = run, floor, map[string]uint64{}
}

// Run is the run that the window belongs to.
func (w *Window) Run() Run { return w.run }

// Accept reports whether the envelope is of the window's run and newer than everything of its topic so far,
// and remembers it.
func (w *Window) Accept(topic string, e Envelope) bool {
	if e.Sender != w.run || e.Sequence <= w.floor || e.Sequence <= w.last[topic] {
		return false
	}
	w.last[topic] = e.Sequence
	return true
}
