package peer

import (
	"fmt"

	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Effect is something for the caller to do, in the order given. String says it in one line.
type Effect interface{ fmt.Stringer }

// Send publishes a message on one of the node's channels.
type Send struct {
	Channel string // of package protocol
	Message any    // of package message
	QoS     byte
	Retain  bool
}

// Apply stores a document and then acts upon it; the caller answers with Stored, or with Rejected when its
// content is not what it says. Without an answer the effect comes again an interval later.
type Apply struct{ Document message.Desired }

// KeepPosition stores that the content on disk is the one at this position; answered like Apply.
type KeepPosition struct {
	Position message.Position
	Digest   message.Digest
}

// KeepEpoch stores the highest epoch seen; answered with EpochKept.
type KeepEpoch struct{ Epoch message.Epoch }

// Grant says what the node may run of the pods that must be single.
type Grant struct{ Grant message.Grant }

// Release asks whether anything of these pods is left.
type Release struct{ Pods []string }

// Frame is for a stream.
type Frame struct{ Data []byte }

// MakeKey asks for the node's next key pair; answered with Offer.
type MakeKey struct{}

// UseKey says that the master has stored the next key; answered with Rekeyed.
type UseKey struct{ Key [32]byte }

// Revoke says when the node was removed from the cluster, Unix seconds of the master.
type Revoke struct{ Time int64 }

// Led says which run leads now.
type Led struct {
	Run    seal.Run
	Epoch  message.Epoch
	Master string
}

// Welcomed says that the leader has answered.
type Welcomed struct{ Desired message.Position }

// Unanswered says, once, that no master has answered a hello for a node-timeout.
type Unanswered struct{}

// Refused says that a message was not acted upon. Reason is one of the constants below.
type Refused struct{ Reason string }

// Reasons of Refused.
const (
	Malformed    = "malformed"     // does not decode
	BadSignature = "bad_signature" // an announcement that the cluster's key did not sign
	OldEpoch     = "old_epoch"     // of a leader that another one has succeeded
	Unreadable   = "unreadable"    // not sealed for this run of this node
	UnknownRun   = "unknown_run"   // not of the leader's run, or before it was answered
	Repeated     = "repeated"      // seen before, or overtaken by a newer one
)

func (e Send) String() string {
	switch m := e.Message.(type) {
	case message.Hello:
		return fmt.Sprintf("send hello challenge=%x stored=%s highest=%s", m.Challenge, m.Stored, m.Highest)
	case message.Heartbeat:
		if m.Ask != 0 {
			return fmt.Sprintf("send heartbeat applied=%s asks at %d ms", m.Applied, m.Ask)
		}
		return fmt.Sprintf("send heartbeat applied=%s", m.Applied)
	case message.Presence:
		return fmt.Sprintf("send presence online=%t connection=%d", m.Online, m.Connection)
	case message.Response:
		switch {
		case m.Released != nil:
			return fmt.Sprintf("released %d pods", len(m.Released.Pods))
		case m.NextKey != nil:
			return fmt.Sprintf("offer key %x", m.NextKey.Key[:2])
		}
		return fmt.Sprintf("ask for desired, have %s", m.WantDesired.Have)
	case message.Status:
		kind := "incremental"
		if m.Complete {
			kind = fmt.Sprintf("complete echo=%x", m.Echo)
		}
		return fmt.Sprintf("send status of %d pods, %d events (%s)", len(m.Pods), len(m.Events), kind)
	}
	return fmt.Sprintf("send %T", e.Message)
}

func (e Apply) String() string        { return fmt.Sprintf("apply desired %s", e.Document.Position) }
func (e KeepPosition) String() string { return fmt.Sprintf("keep position %s", e.Position) }
func (e KeepEpoch) String() string    { return fmt.Sprintf("keep epoch %s", e.Epoch) }
func (MakeKey) String() string        { return "make the next key" }
func (e UseKey) String() string       { return fmt.Sprintf("use key %x", e.Key[:2]) }
func (Revoke) String() string         { return "revoked" }
func (e Grant) String() string {
	return fmt.Sprintf("granted at %d ms: %d pods, %d bound", e.Grant.Ask, len(e.Grant.Pods), len(e.Grant.Bound))
}
func (e Release) String() string  { return fmt.Sprintf("asked about %d pods", len(e.Pods)) }
func (e Frame) String() string    { return fmt.Sprintf("frame of %d bytes", len(e.Data)) }
func (e Led) String() string      { return fmt.Sprintf("led by run %d, epoch %s", e.Run.Number, e.Epoch) }
func (e Welcomed) String() string { return fmt.Sprintf("welcomed, newest desired %s", e.Desired) }
func (Unanswered) String() string { return "unanswered" }
func (e Refused) String() string  { return "refused: " + e.Reason }
