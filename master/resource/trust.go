package resource

import (
	"crypto/sha256"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// Kinds of what the cluster knows of who may talk to it. They are not served as they are.
const (
	// NodeKeyKind holds the key of each node, one record a node, named after it. It outlives the Node object.
	NodeKeyKind change.Kind = "nodekeys.skerry.dev"
	// JoinTokenKind holds what is known of each join token, named after its id.
	JoinTokenKind change.Kind = "jointokens.skerry.dev"
)

// NodeKey is the content of a record of NodeKeyKind.
type NodeKey struct {
	Key     [32]byte  `cbor:"1,keyasint"`           // X25519, public; the node has proven that it holds the private one
	Next    [32]byte  `cbor:"2,keyasint"`           // what the node will use from its next connection on; zero: none
	Node    types.UID `cbor:"3,keyasint,omitempty"` // of the Node object that belongs to it; empty until there is one
	Token   string    `cbor:"4,keyasint,omitempty"` // id of the token that it joined with
	Joined  int64     `cbor:"5,keyasint,omitempty"` // Unix seconds, the master's wall clock
	Revoked int64     `cbor:"6,keyasint,omitempty"` // likewise, when its Node object was deleted; 0: it was not
	Rotated string    `cbor:"7,keyasint,omitempty"` // value of the annotation that last made the key change
}

// EncodeNodeKey is the value of a record of NodeKeyKind.
func EncodeNodeKey(k NodeKey) []byte { return message.Encode(k) }

// DecodeNodeKey reads the value of a record of NodeKeyKind.
func DecodeNodeKey(value []byte) (NodeKey, error) { return message.Decode[NodeKey](value) }

// JoinToken is the content of a record of JoinTokenKind. Times are Unix seconds of the master's wall clock.
type JoinToken struct {
	Hash        [32]byte `cbor:"1,keyasint"` // seal.HashSecret
	Password    [32]byte `cbor:"2,keyasint"` // SHA-256 of seal.Token.JoinPassword, which has 192 random bits
	Created     int64    `cbor:"3,keyasint,omitempty"`
	Expires     int64    `cbor:"4,keyasint,omitempty"` // 0: never
	Uses        uint32   `cbor:"5,keyasint,omitempty"` // how many nodes may join with it; 0: any number
	Used        uint32   `cbor:"6,keyasint,omitempty"` // how many have
	Revoked     int64    `cbor:"7,keyasint,omitempty"` // 0: it was not
	Description string   `cbor:"8,keyasint,omitempty"` // for people
	// Master says that masters join with it, and no nodes: Hash is seal.HashMasterSecret, Password is zero, and LastKey
	// whom the keys were sealed for last, so that a lost answer can be had again.
	Master  bool   `cbor:"9,keyasint,omitempty"`
	LastKey []byte `cbor:"10,keyasint,omitempty"`
}

// NewJoinToken is the record of a token with this secret, and its name. A ttl or uses of 0 mean no end.
func NewJoinToken(secret []byte, now time.Time, ttl time.Duration, uses uint32, description string) (id string, t JoinToken) {
	token := seal.Token{Secret: secret}
	t = JoinToken{
		Hash: seal.HashSecret(secret), Password: sha256.Sum256([]byte(token.JoinPassword())),
		Created: now.Unix(), Uses: uses, Description: description,
	}
	if ttl > 0 {
		t.Expires = now.Add(ttl).Unix()
	}
	return token.ID(), t
}

// NewMasterJoinToken is the same for masters.
func NewMasterJoinToken(secret []byte, now time.Time, ttl time.Duration, uses uint32, description string) (id string, t JoinToken) {
	id, t = NewJoinToken(secret, now, ttl, uses, description)
	t.Master, t.Hash, t.Password = true, seal.HashMasterSecret(secret), [32]byte{}
	return id, t
}

// Refuses says why a token is no longer good; empty: it is.
func (t JoinToken) Refuses(now time.Time) message.JoinVerdict {
	switch {
	case t.Revoked != 0:
		return message.TokenRevoked
	case t.Expires != 0 && now.Unix() >= t.Expires:
		return message.TokenExpired
	case t.Uses != 0 && t.Used >= t.Uses:
		return message.TokenUsedUp
	}
	return ""
}

// EncodeJoinToken is the value of a record of JoinTokenKind.
func EncodeJoinToken(t JoinToken) []byte { return message.Encode(t) }

// DecodeJoinToken reads the value of a record of JoinTokenKind.
func DecodeJoinToken(value []byte) (JoinToken, error) { return message.Decode[JoinToken](value) }
