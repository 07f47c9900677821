package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/skerry-edge/skerry/protocol/message"
)

// Window is how many bytes of data an end lets the other send ahead of what was consumed, and so the memory
// that a stream takes at most.
const Window = 128 << 10

// MaxData is the largest piece of data in a frame, in bytes.
const MaxData = 16 << 10

// Kind says what a stream is for.
type Kind string

// The kinds.
const (
	Logs        Kind = "logs"         // the log of a container
	Exec        Kind = "exec"         // one more process in a container
	Attach      Kind = "attach"       // what a container prints from now on
	PortForward Kind = "port-forward" // a connection to a port of a pod
	Usage       Kind = "usage"        // what containers use at the moment, a UsageReport; of one pod where UID is set
)

// Channels, numbered as Kubernetes numbers them. In and Resize go to the node, Out and Err come from it; a
// forwarded connection uses In and Out.
const (
	In     byte = 0
	Out    byte = 1
	Err    byte = 2
	Resize byte = 4 // a terminal's size, as EncodeSize writes it
)

// Frame is one message of a stream. Exactly one of Open, Data, Credit, Alive, End and Fin says what it is.
type Frame struct {
	Stream  uint64 `cbor:"1,keyasint,omitempty"` // chosen by the opener at random
	Open    *Open  `cbor:"2,keyasint,omitempty"`
	Number  uint64 `cbor:"3,keyasint,omitempty"` // of Data, Fin and End frames of one direction: 1, 2, …; 0 in an End is a refusal
	Channel byte   `cbor:"4,keyasint,omitempty"`
	Data    []byte `cbor:"5,keyasint,omitempty"`
	Credit  uint32 `cbor:"6,keyasint,omitempty"` // bytes more that the receiver of this frame may send
	Alive   bool   `cbor:"7,keyasint,omitempty"` // nothing to say, still here
	End     *End   `cbor:"8,keyasint,omitempty"`
	Fin     bool   `cbor:"9,keyasint,omitempty"` // no more data of this direction on Channel
}

// Open asks for a stream.
type Open struct {
	Kind      Kind        `cbor:"1,keyasint,omitempty"`
	Namespace string      `cbor:"2,keyasint,omitempty"`
	Pod       string      `cbor:"3,keyasint,omitempty"`
	UID       string      `cbor:"4,keyasint,omitempty"`
	Container string      `cbor:"5,keyasint,omitempty"`
	Logs      *LogOptions `cbor:"6,keyasint,omitempty"`
	// KeepAlive is how often each end says that it is there, and Patience how long it goes without a
	// frame before it gives up; milliseconds, set by the opener.
	KeepAlive uint32 `cbor:"7,keyasint,omitempty"`
	Patience  uint32 `cbor:"8,keyasint,omitempty"`

	Exec *ExecOptions `cbor:"9,keyasint,omitempty"`
	Port uint16       `cbor:"10,keyasint,omitempty"` // of PortForward
}

// ExecOptions say what is to be executed, as Kubernetes' PodExecOptions do.
type ExecOptions struct {
	Command []string `cbor:"1,keyasint,omitempty"`
	Stdin   bool     `cbor:"2,keyasint,omitempty"`
	Stdout  bool     `cbor:"3,keyasint,omitempty"`
	Stderr  bool     `cbor:"4,keyasint,omitempty"`
	TTY     bool     `cbor:"5,keyasint,omitempty"`
}

// LogOptions choose what of a log is wanted, as the query of Kubernetes' pods/log does.
type LogOptions struct {
	Follow     bool   `cbor:"1,keyasint,omitempty"`
	Previous   bool   `cbor:"2,keyasint,omitempty"`
	Timestamps bool   `cbor:"3,keyasint,omitempty"`
	Tail       *int64 `cbor:"4,keyasint,omitempty"` // lines from the end; nil: all
	// SinceSeconds is relative to the node's clock, SinceTime (Unix nanoseconds) absolute; 0: unset.
	SinceSeconds int64 `cbor:"5,keyasint,omitempty"`
	SinceTime    int64 `cbor:"6,keyasint,omitempty"`
	LimitBytes   int64 `cbor:"7,keyasint,omitempty"` // 0: no limit
}

// End finishes a stream, in both directions.
type End struct {
	Error string `cbor:"1,keyasint,omitempty"` // in words for the user; empty: finished as it should
	Code  string `cbor:"2,keyasint,omitempty"` // what kind of error, where the other side branches on it
	Exit  int    `cbor:"3,keyasint,omitempty"` // with Code Exited: the process's exit code, not 0
}

// Err is the end as whoever reads the stream sees it: nil when it finished as it should, else an *Error.
func (e End) Err() error {
	if e.Error == "" {
		return nil
	}
	return &Error{Code: e.Code, Text: e.Error, Exit: e.Exit}
}

// Codes of End.
const (
	NotFound   = "NotFound"   // there is no such pod, container or log
	BadRequest = "BadRequest" // the stream makes no sense at the moment
	Busy       = "Busy"       // too many streams
	Exited     = "Exited"     // the process ended with another exit code than 0
)

// Error is why a stream ended, as its other end reports it, or why it could not be opened.
type Error struct {
	Code, Text string
	Exit       int // with Code Exited
}

func (e *Error) Error() string { return e.Text }

// ErrLost is wrapped by the error of a stream whose frames did not all arrive.
var ErrLost = errors.New("part of the stream was lost on the way")

// Intervals are those of the open request, bounded to what makes sense.
func (o Open) Intervals() (keepAlive, patience time.Duration) {
	keepAlive = clamp(time.Duration(o.KeepAlive)*time.Millisecond, time.Second, time.Minute)
	patience = clamp(time.Duration(o.Patience)*time.Millisecond, 2*keepAlive, 10*time.Minute)
	return keepAlive, patience
}

func clamp(d, least, most time.Duration) time.Duration { return min(max(d, least), most) }

// Encode encodes a frame, and Decode reads one and checks that it is one.
func Encode(f Frame) []byte { return message.Encode(f) }

// Decode reads a frame; a malformed one is an error.
func Decode(data []byte) (Frame, error) {
	f, err := message.Decode[Frame](data)
	if err != nil {
		return f, err
	}
	set := 0
	for _, is := range []bool{f.Open != nil, len(f.Data) > 0, f.Credit > 0, f.Alive, f.End != nil, f.Fin} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return f, fmt.Errorf("a frame of stream %x says %d things, not one", f.Stream, set)
	case len(f.Data) > MaxData:
		return f, fmt.Errorf("a frame of stream %x has %d bytes of data, more than %d", f.Stream, len(f.Data), MaxData)
	case f.Stream == 0:
		return f, errors.New("a frame names no stream")
	}
	return f, nil
}

// EncodeSize writes a terminal's size, in characters; DecodeSize reads it.
func EncodeSize(width, height uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, width), height)
}

// DecodeSize reads a terminal's size; ok is false for what is none.
func DecodeSize(data []byte) (width, height uint16, ok bool) {
	if len(data) != 4 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:]), true
}
