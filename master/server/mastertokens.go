package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/recovery"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// masterTokens is what tokens need to let further masters join.
type masterTokens struct {
	dir  string                         // with the key files
	apis func(context.Context) []string // URLs of the masters, this one's first
	tell func(reason, message string, warning bool)
	// synced says whether a use that is stored is known to every master: one that is cut off must not let anybody in whom
	// another lets in, too.
	synced func() bool
}

var _ apiserver.MasterJoins = (*tokens)(nil)

// CreateForMaster implements apiserver.Tokens.
func (t *tokens) CreateForMaster(ctx context.Context, ttl time.Duration, uses uint32, description string) (apiserver.Token, error) {
	now := t.clock()
	switch {
	case t.masters == nil:
		return apiserver.Token{}, apierrors.NewBadRequest(
			"this cluster has no etcd, and two masters without a store that they share would be two clusters; start this master with --etcd first")
	case unset(now):
		return apiserver.Token{}, apierrors.NewBadRequest(fmt.Sprintf(
			"the master's clock says %s: the token would expire when the clock is set; set it first", now.Wall.UTC().Format(time.DateTime)))
	}
	token := seal.MasterToken{Cluster: t.id.cluster, APIs: t.masters.apis(ctx), CAHash: seal.HashCA(t.id.ca.Certificate)}
	var err error
	if token.Secret, err = newSecret(); err != nil {
		return apiserver.Token{}, err
	}
	text, err := token.Encode()
	if err != nil {
		return apiserver.Token{}, err
	}
	id, record := resource.NewMasterJoinToken(token.Secret, now.Wall, ttl, uses, description)
	return t.add(ctx, now, id, record, text)
}

// Join implements apiserver.MasterJoins.
func (t *tokens) Join(ctx context.Context, ask apiserver.MasterJoinRequest, to recovery.Recipient) (apiserver.MasterJoin, error) {
	if t.masters == nil {
		return apiserver.MasterJoin{}, apiserver.MasterJoinRefused("this cluster has no etcd")
	}
	if !t.masters.synced() {
		return apiserver.MasterJoin{}, apierrors.NewServiceUnavailable("this master can't reach etcd just now, and lets no other in before it can")
	}
	if _, _, refusal := judgeMaster(t.store.View(), t.clock(), ask, to); refusal != "" {
		return apiserver.MasterJoin{}, apiserver.MasterJoinRefused(refusal)
	}
	keys, err := bundleForMaster(t.masters.dir, t.id.cluster) // before the use counts
	if err != nil {
		return apiserver.MasterJoin{}, err
	}
	sealed, err := recovery.Wrap(keys, to, rand.Reader)
	if err != nil {
		return apiserver.MasterJoin{}, err
	}
	for {
		changes, again, refusal := judgeMaster(t.store.View(), t.clock(), ask, to)
		if refusal != "" {
			return apiserver.MasterJoin{}, apiserver.MasterJoinRefused(refusal)
		}
		if again {
			return apiserver.MasterJoin{Keys: sealed}, nil
		}
		_, err := t.store.Commit(ctx, changes)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return apiserver.MasterJoin{}, fmt.Errorf("store the use of the token: %w", err)
		}
		t.masters.tell("MasterJoined", fmt.Sprintf("The machine %q was given the cluster's keys, to be a master, with the join token %s.", ask.Name, ask.Token), true)
		return apiserver.MasterJoin{Keys: sealed}, nil
	}
}

// clockSlack is how far the master's clock may have been set back since a token was made, as for nodes.
const clockSlack = time.Hour

// judgeMaster decides about a token, and says what has to be stored before the keys may go out. again: the same machine has
// got them already, and its answer was lost. An id that nobody knows takes the same way as a wrong secret.
func judgeMaster(view change.View, now clock.Now, ask apiserver.MasterJoinRequest, to recovery.Recipient) (changes []change.Change, again bool, refusal string) {
	var token resource.JoinToken
	rec, found := view.Get(tokenKey(ask.Token))
	if found {
		var err error
		token, err = resource.DecodeJoinToken(rec.Value)
		found = err == nil && token.Master
	}
	hash := seal.HashMasterSecret(ask.Secret)
	if subtle.ConstantTimeCompare(hash[:], token.Hash[:]) != 1 || !found {
		return nil, false, "the token is not known here: it is mistyped, was forgotten long since, or is another cluster's; " + anotherToken
	}
	key := sha256.Sum256(append([]byte("skerry joining master\x00"), to[:]...))
	again = slices.Equal(token.LastKey, key[:])
	if again {
		token.Used-- // it was this one
	}
	switch token.Refuses(now.Wall) {
	case message.TokenRevoked:
		return nil, false, "the token was revoked; " + anotherToken
	case message.TokenExpired:
		return nil, false, "the token has expired; " + anotherToken
	case message.TokenUsedUp:
		return nil, false, "the token was used as often as it may be; if you don't know by whom, somebody else has the cluster's keys (see the event MasterJoined); " + anotherToken
	}
	if now.Wall.Add(clockSlack).Before(time.Unix(token.Created, 0)) {
		return nil, false, fmt.Sprintf("the clock of the master that leads says %s, which is before the token was made; set it", now.Wall.UTC().Format(time.DateTime))
	}
	if again {
		return nil, true, ""
	}
	token.Used, token.LastKey = token.Used+1, key[:]
	return []change.Change{{Key: rec.Key, Base: rec.Rev, Value: resource.EncodeJoinToken(token), Reason: "a master has joined"}}, false, ""
}

const anotherToken = "make another one: edgectl token create --for-master"
