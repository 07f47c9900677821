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

// A master whose clock stands before the token was made can't tell whether it is still good. It says so, and takes the
// token when its clock is set; one that never expires needs no clock. What was decided before is told all the same.
func TestAClockThatIsBehind(t *testing.T) {
	made := time.Unix(1_800_000_000, 0)
	ask := message.JoinAsk{Node: "n1", Key: [32]byte{1}}
	for name, c := range map[string]struct {
		now    time.Time
		ttl    time.Duration
		joined [32]byte // who has the name
		want   message.JoinVerdict
	}{
		"in 1970":                 {time.Unix(100, 0), time.Hour, [32]byte{}, message.MasterClock},
		"in 1970, for ever":       {time.Unix(100, 0), 0, [32]byte{}, message.Joined},
		"in 1970, asked again":    {time.Unix(100, 0), time.Hour, ask.Key, message.Joined},
		"in 1970, name taken":     {time.Unix(100, 0), time.Hour, [32]byte{2}, message.NameTaken},
		"set back by two hours":   {made.Add(-2 * time.Hour), time.Hour, [32]byte{}, message.MasterClock},
		"set back by some time":   {made.Add(-30 * time.Minute), time.Hour, [32]byte{}, message.Joined},
		"right":                   {made.Add(time.Minute), time.Hour, [32]byte{}, message.Joined},
		"in 2038":                 {time.Unix(1<<31+1, 0), time.Hour, [32]byte{}, message.TokenExpired},
		"in 2038, for ever":       {time.Unix(1<<31+1, 0), 0, [32]byte{}, message.Joined},
		"in 2038, for many years": {time.Unix(1<<31+1, 0), 20 * 365 * 24 * time.Hour, [32]byte{}, message.Joined},
	} {
		s := store.NewMemory(store.Config{Schema: resource.Schema()})
		secret := []byte("0123456789abcdef")
		id, record := resource.NewJoinToken(secret, made, c.ttl, 1, "")
		changes := []change.Change{{Key: change.Key{Kind: resource.JoinTokenKind, Name: id}, Value: resource.EncodeJoinToken(record)}}
		if c.joined != [32]byte{} {
			changes = append(changes, change.Change{
				Key: change.Key{Kind: resource.NodeKeyKind, Name: "n1"}, Value: resource.EncodeNodeKey(resource.NodeKey{Key: c.joined}),
			})
		}
		if _, err := s.Commit(context.Background(), changes); err != nil {
			t.Fatal(err)
		}
		if got, _ := judge(s.View(), clock.Now{Wall: c.now}, ask, message.JoinProof{Token: id, Secret: secret}); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// A name is taken by the machine that joined with it. One that has never reported since, and so has no Node that could
// be deleted, keeps it for an hour.
func TestWhoHasAName(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ask := message.JoinAsk{Node: "n1", Key: [32]byte{1}}
	other := [32]byte{2}
	for name, c := range map[string]struct {
		held resource.NodeKey
		want message.JoinVerdict
		used uint32
	}{
		"a node":                          {resource.NodeKey{Key: other, Node: "uid", Joined: 1}, message.NameTaken, 0},
		"joined just now":                 {resource.NodeKey{Key: other, Joined: now.Unix()}, message.NameTaken, 0},
		"joined an hour ago":              {resource.NodeKey{Key: other, Joined: now.Add(-unreported).Unix()}, message.NameTaken, 0},
		"joined before, never seen":       {resource.NodeKey{Key: other, Joined: now.Add(-unreported - time.Second).Unix()}, message.Joined, 1},
		"joined later, by another clock":  {resource.NodeKey{Key: other, Joined: now.Add(time.Hour).Unix()}, message.NameTaken, 0},
		"joined in 2038, by a wrong one":  {resource.NodeKey{Key: other, Joined: 1 << 31}, message.Joined, 1},
		"removed":                         {resource.NodeKey{Key: other, Node: "uid", Revoked: 7}, message.Joined, 1},
		"removed, with the same key":      {resource.NodeKey{Key: ask.Key, Node: "uid", Revoked: 7}, message.Joined, 1},
		"the same, whose verdict is lost": {resource.NodeKey{Key: ask.Key, Node: "uid"}, message.Joined, 0},
	} {
		s := store.NewMemory(store.Config{Schema: resource.Schema()})
		secret := []byte("0123456789abcdef")
		id, record := resource.NewJoinToken(secret, now, time.Hour, 1, "")
		_, err := s.Commit(context.Background(), []change.Change{
			{Key: change.Key{Kind: resource.JoinTokenKind, Name: id}, Value: resource.EncodeJoinToken(record)},
			{Key: change.Key{Kind: resource.NodeKeyKind, Name: "n1"}, Value: resource.EncodeNodeKey(c.held)},
		})
		if err != nil {
			t.Fatal(err)
		}
		verdict, changes := judge(s.View(), clock.Now{Wall: now}, ask, message.JoinProof{Token: id, Secret: secret})
		if verdict != c.want || len(changes) != 2*int(c.used) {
			t.Errorf("%s: %s, want %s; %d changes", name, verdict, c.want, len(changes))
		}
		if len(changes) == 0 {
			continue
		}
		if _, err := s.Commit(context.Background(), changes); err != nil {
			t.Fatal(err)
		}
		rec, _ := s.View().Get(change.Key{Kind: resource.NodeKeyKind, Name: "n1"})
		key, err := resource.DecodeNodeKey(rec.Value)
		want := resource.NodeKey{Key: ask.Key, Token: id, Joined: now.Unix()}
		if err != nil || key != want {
			t.Errorf("%s: stored %+v, %v", name, key, err)
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
