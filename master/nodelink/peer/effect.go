package peer

import (
	"fmt"

	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Effect is something for the caller to do, in the order given. String says it in one line.
type Effect interface{ fmt.Stringer }

// Welcome answers a hello.
type Welcome struct{ Message message.Welcome }

// Ask asks the node to say something again.
type Ask struct {
	Resync message.Resync
	Why    string
}

// Publish sends the node's desired state again.
type Publish struct{ Why string }

// Announce sends the leader's announcement again: the node has not seen it.
type Announce struct{}

// Revoke tells the run that its key is no longer the cluster's.
type Revoke struct{ Message message.Revoked }

// Rotate asks the node for a new key.
type Rotate struct{}

// KeepKey stores the node's next key, and then says so to the run. It may be stored already.
type KeepKey struct{ Key [32]byte }

// Current says that a run has proven to be the node's, or that the node's run has proven that it uses another key;
// Duplicate that it had been replaced by another run before, so that two agents use one identity.
type Current struct {
	Run       seal.Run
	Duplicate bool
}

// Report is for the store.
type Report struct{ Status message.Status }

// Heard says that the node lives. Only a heartbeat has Readings and says what the node has Applied.
type Heard struct {
	Readings *message.Readings
	Applied  message.Position
}

// Offline says that the will of the node's connection arrived.
type Offline struct{}

// Asked says that the node asks for a permit, in the heartbeat that Heard belongs to.
type Asked struct{ Ask uint64 }

// Released says that nothing is left of these pods on the node, and that it will start none of them again by itself.
type Released struct{ Pods []string }

// Frame is for a stream.
type Frame struct{ Data []byte }

// Outranked says that the node has seen a higher epoch than this master's, or applied a document of this epoch that
// this master has not written yet, and won't obey it: the master's store is older than what the node has seen.
type Outranked struct{ Epoch message.Epoch }

// Refused says that the message was not acted upon. Reason is one of the constants below.
type Refused struct{ Reason string }

// Reasons of Refused; they are label values of a metric.
const (
	Malformed  = "malformed"   // does not decode
	NoKey      = "no_key"      // of a node that has not joined
	Unreadable = "unreadable"  // not sealed with the node's key, for this topic and this run of the master
	KeyRevoked = "revoked"     // of a node that was removed from the cluster
	UnknownRun = "unknown_run" // of a run that has not proven to be current
	Repeated   = "repeated"    // seen before, or overtaken by a newer one
)

func (e Welcome) String() string {
	return fmt.Sprintf("welcome echo=%x challenge=%x desired=%s", e.Message.Echo, e.Message.Challenge, e.Message.Desired)
}

func (e Ask) String() string {
	what := "status"
	if e.Resync.Hello {
		what = "hello"
	}
	return fmt.Sprintf("ask for %s (%s)", what, e.Why)
}

func (e Publish) String() string { return fmt.Sprintf("publish desired (%s)", e.Why) }
func (Announce) String() string  { return "announce leader" }
func (Revoke) String() string    { return "say that the key is revoked" }
func (Rotate) String() string    { return "ask for a new key" }
func (e KeepKey) String() string { return fmt.Sprintf("keep key %x", e.Key[:2]) }

func (e Current) String() string {
	if e.Duplicate {
		return fmt.Sprintf("run %d is current again: duplicate identity", e.Run.Number)
	}
	return fmt.Sprintf("run %d is current", e.Run.Number)
}

func (e Report) String() string {
	kind := "incremental"
	if e.Status.Complete {
		kind = "complete"
	}
	return fmt.Sprintf("report %d pods (%s)", len(e.Status.Pods), kind)
}

func (e Heard) String() string {
	if e.Readings == nil {
		return "heard"
	}
	return fmt.Sprintf("heard cpu=%dm", e.Readings.CPUMilli)
}

func (Offline) String() string     { return "offline" }
func (e Asked) String() string     { return fmt.Sprintf("asks for a permit at %d ms", e.Ask) }
func (e Released) String() string  { return fmt.Sprintf("has released %d pods", len(e.Pods)) }
func (e Frame) String() string     { return fmt.Sprintf("frame of %d bytes", len(e.Data)) }
func (e Outranked) String() string { return fmt.Sprintf("outranked by epoch %s", e.Epoch) }
func (e Refused) String() string   { return "refused: " + e.Reason }
