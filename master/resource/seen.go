package resource

import (
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
)

// SeenKind holds what the master last heard of each node, one volatile record a node, named after it, and the
// record LinkName. nodelink alone writes it; the node controller decides on it; Leases are rendered from it.
const SeenKind change.Kind = "seen.skerry.dev"

// LinkName names the record of SeenKind that is about the master's own connection to the broker. It is no
// valid node name.
const LinkName = "@link"

// Seen is the content of a record of SeenKind. Times are of the master's own clocks.
type Seen struct {
	// Heard is when the last heartbeat (or any other message of its current run) of a node arrived, or, for
	// LinkName, when the connection last changed.
	HeardBoot time.Duration `cbor:"1,keyasint,omitempty"`
	HeardWall int64         `cbor:"2,keyasint,omitempty"` // Unix nanoseconds
	// Online is the presence mark, a hint: false when the will of the node's current connection arrived.
	// For LinkName it says whether the master is connected to a broker.
	Online bool `cbor:"3,keyasint,omitempty"`
	// OfflineBoot is when that will arrived; 0 while Online.
	OfflineBoot time.Duration `cbor:"4,keyasint,omitempty"`
	// Readings are those of the last heartbeat.
	Readings message.Readings `cbor:"5,keyasint,omitempty"`
	// ProofBoot, for LinkName alone, is when the newest probe was sent that has come back: all that the broker had
	// for the master until then is in this record's commit or in earlier ones. Silence counts up to then.
	ProofBoot time.Duration `cbor:"6,keyasint,omitempty"`
	// Slow says that the node keeps, or may still keep, to the pace of a metered link: its label says so, or has
	// said so and the node has not shown that it knows better.
	Slow bool `cbor:"7,keyasint,omitempty"`
}

// Heard is the reading of both clocks at the last heartbeat.
func (s Seen) Heard() clock.Now {
	return clock.Now{Wall: time.Unix(0, s.HeardWall).UTC(), Boot: s.HeardBoot}
}

// EncodeSeen is the value of a record of SeenKind.
func EncodeSeen(s Seen) []byte { return message.Encode(s) }

// DecodeSeen reads the value of a record of SeenKind.
func DecodeSeen(value []byte) (Seen, error) { return message.Decode[Seen](value) }
