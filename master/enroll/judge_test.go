package enroll

import (
	"context"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// The secret decides, not the id: who guesses ids gets the answer for one that there is not. The rest of the verdicts
// is tried with both ends in test/wire.
func TestAWrongSecretWithARightID(t *testing.T) {
	now := clock.Now{Wall: time.Unix(1_800_000_000, 0)}
	secret := []byte("0123456789abcdef")
	id, record := resource.NewJoinToken(secret, now.Wall, time.Hour, 1, "")
	s := store.NewMemory(store.Config{Schema: resource.Schema()})
	_, err := s.Commit(context.Background(), []change.Change{{
		Key: change.Key{Kind: resource.JoinTokenKind, Name: id}, Value: resource.EncodeJoinToken(record),
	}})
	if err != nil {
		t.Fatal(err)
	}
	ask := message.JoinAsk{Node: "n1", Key: [32]byte{1}}
	for name, c := range map[string]struct {
		proof message.JoinProof
		want  message.JoinVerdict
	}{
		"right":           {message.JoinProof{Token: id, Secret: secret}, message.Joined},
		"another secret":  {message.JoinProof{Token: id, Secret: []byte("0123456789abcdeX")}, message.TokenUnknown},
		"no secret":       {message.JoinProof{Token: id}, message.TokenUnknown},
		"its hash":        {message.JoinProof{Token: id, Secret: record.Hash[:]}, message.TokenUnknown},
		"another id":      {message.JoinProof{Token: "00000000", Secret: secret}, message.TokenUnknown},
		"nothing at all":  {message.JoinProof{}, message.TokenUnknown},
		"a node's record": {message.JoinProof{Token: "n1", Secret: make([]byte, seal.SecretSize)}, message.TokenUnknown},
	} {
		verdict, changes := judge(s.View(), now, ask, c.proof)
		if verdict != c.want || (len(changes) > 0) != (c.want == message.Joined) {
			t.Errorf("%s: %s, %d changes", name, verdict, len(changes))
		}
	}
}

// Nothing that a stranger sends makes the machine panic, or lets it in.
func FuzzJudge(f *testing.F) {
	f.Add("00000000", []byte("secret"), "n1")
	f.Fuzz(func(t *testing.T, token string, secret []byte, node string) {
		s := store.NewMemory(store.Config{Schema: resource.Schema()})
		verdict, changes := judge(s.View(), clock.Now{}, message.JoinAsk{Node: node}, message.JoinProof{Token: token, Secret: secret})
		if verdict == message.Joined || len(changes) > 0 {
			t.Errorf("%s", verdict)
		}
	})
}
