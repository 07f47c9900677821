package enroll

import (
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// clockSlack is how far the master's clock may have been set back since a token was made. A board without a battery
// wakes years in the past: a token that expires is not good then, for nobody knows whether it is.
const clockSlack = time.Hour

// unreported is how long a machine that has joined keeps its name without ever having said anything. That it joined
// longer than this in the future shows that the clock was wrong; nobody knows then how long ago it was.
const unreported = time.Hour

// judge decides about a proof, and says what has to be stored before the verdict may go out.
func judge(view change.View, now clock.Now, ask message.JoinAsk, proof message.JoinProof) (message.JoinVerdict, []change.Change) {
	tokenRec, token, ok := findToken(view, proof)
	if !ok {
		return message.TokenUnknown, nil
	}
	if protocol.CheckLevel(ask.Node) != nil {
		return message.NameInvalid, nil
	}
	nodeKey := change.Key{Kind: resource.NodeKeyKind, Name: ask.Node}
	rec, _ := view.Get(nodeKey)
	if rec.Exists() {
		held, err := resource.DecodeNodeKey(rec.Value)
		switch {
		case err != nil:
			return message.NameTaken, nil
		case held.Revoked != 0:
			// Its Node was deleted: the name is free.
		case held.Key == ask.Key:
			return message.Joined, nil // the verdict was lost
		case held.Node == "" && now.Wall.Sub(time.Unix(held.Joined, 0)).Abs() > unreported:
			// It was never seen, and has no Node that somebody could delete: its card may have been written anew.
		default:
			if refusal := token.Refuses(now.Wall); refusal != "" {
				return refusal, nil
			}
			return message.NameTaken, nil
		}
	}
	if refusal := token.Refuses(now.Wall); refusal != "" {
		return refusal, nil
	}
	if token.Expires != 0 && now.Wall.Add(clockSlack).Before(time.Unix(token.Created, 0)) {
		return message.MasterClock, nil
	}
	token.Used++
	reason := fmt.Sprintf("%s has joined", ask.Node)
	return message.Joined, []change.Change{
		{Key: nodeKey, Base: rec.Rev, Reason: reason, Value: resource.EncodeNodeKey(resource.NodeKey{
			Key: ask.Key, Token: proof.Token, Joined: now.Wall.Unix(),
		})},
		{Key: tokenRec.Key, Base: tokenRec.Rev, Reason: reason, Value: resource.EncodeJoinToken(token)},
	}
}

// findToken is the token that the proof shows. An id that nobody knows takes the same way as a wrong secret.
func findToken(view change.View, proof message.JoinProof) (change.Record, resource.JoinToken, bool) {
	var token resource.JoinToken
	rec, found := view.Get(change.Key{Kind: resource.JoinTokenKind, Name: proof.Token})
	if found {
		var err error
		token, err = resource.DecodeJoinToken(rec.Value)
		found = err == nil
	}
	hash := seal.HashSecret(proof.Secret)
	return rec, token, subtle.ConstantTimeCompare(hash[:], token.Hash[:]) == 1 && found
}
