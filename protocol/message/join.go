package message

// JoinAsk opens an attempt to join (topic join/<id>/ask, envelope seal.Joining). The key pair behind Key is on the
// agent's disk by then, so that an attempt whose answer was lost can be repeated.
type JoinAsk struct {
	Key       [32]byte `cbor:"1,keyasint"` // X25519, the node's public key
	Node      string   `cbor:"2,keyasint,omitempty"`
	Challenge uint64   `cbor:"3,keyasint,omitempty"` // random; the answer echoes it
	Version   string   `cbor:"4,keyasint,omitempty"` // of the agent, for people
}

// JoinProof answers the master's challenge and shows the token.
type JoinProof struct {
	Echo   uint64 `cbor:"1,keyasint,omitempty"` // JoinAnswer.Challenge
	Token  string `cbor:"2,keyasint,omitempty"` // its id
	Secret []byte `cbor:"3,keyasint,omitempty"`
}

// JoinAnswer answers a JoinAsk with a challenge, and a JoinProof with a verdict.
type JoinAnswer struct {
	Echo      uint64      `cbor:"1,keyasint,omitempty"` // JoinAsk.Challenge
	Challenge uint64      `cbor:"2,keyasint,omitempty"` // random; set in the first answer alone
	Verdict   JoinVerdict `cbor:"3,keyasint,omitempty"` // set in the second alone
}

// JoinVerdict says how an attempt to join ended. An agent treats one that it does not know as a refusal.
type JoinVerdict string

// Passes reports whether the verdict may be another one soon, for the same machine with the same token.
func (v JoinVerdict) Passes() bool { return v == MasterBusy || v == MasterClock }

// Verdicts.
const (
	Joined       JoinVerdict = "joined"
	TokenUnknown JoinVerdict = "token_unknown" // no token has this id and secret
	TokenExpired JoinVerdict = "token_expired"
	TokenUsedUp  JoinVerdict = "token_used_up"
	TokenRevoked JoinVerdict = "token_revoked"
	NameTaken    JoinVerdict = "name_taken" // another key has the node's name
	NameInvalid  JoinVerdict = "name_invalid"
	MasterBusy   JoinVerdict = "busy"  // the master can't store it now: try again
	MasterClock  JoinVerdict = "clock" // the master's clock is behind, so that it can't tell whether the token is still good: try again
)
