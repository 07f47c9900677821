package stream

import (
	"fmt"
	"time"

	"github.com/skerry-edge/skerry/protocol/message"
)

// MaxUsage is the largest answer to a stream of kind Usage, in bytes: some ten thousand containers.
const MaxUsage = 1 << 20

// UsageReport is what a node answers on Out to a stream of kind Usage. A container that did not run from the first
// reading to the second is not in it.
type UsageReport struct {
	WindowMilli uint32           `cbor:"1,keyasint,omitempty"` // between the two readings
	Containers  []ContainerUsage `cbor:"2,keyasint,omitempty"`
}

// ContainerUsage is what one container uses.
type ContainerUsage struct {
	UID         string `cbor:"1,keyasint,omitempty"` // of its pod
	Container   string `cbor:"2,keyasint,omitempty"`
	CPUNano     uint64 `cbor:"3,keyasint,omitempty"` // billionths of a core, on average over the window
	MemoryBytes uint64 `cbor:"4,keyasint,omitempty"` // its working set at the window's end
}

// Window is the time that the figures of processors are the average of.
func (r UsageReport) Window() time.Duration { return time.Duration(r.WindowMilli) * time.Millisecond }

// EncodeUsage encodes a report, and DecodeUsage reads one and checks that it is one.
func EncodeUsage(r UsageReport) []byte { return message.Encode(r) }

// DecodeUsage reads a report; figures that no machine can have are an error, so that sums of them can't overflow.
func DecodeUsage(data []byte) (UsageReport, error) {
	const most = 1 << 53
	r, err := message.Decode[UsageReport](data)
	if err != nil {
		return r, err
	}
	for _, c := range r.Containers {
		if c.CPUNano > most || c.MemoryBytes > most {
			return r, fmt.Errorf("container %q of pod %s claims more than any machine has", c.Container, c.UID)
		}
	}
	return r, nil
}
