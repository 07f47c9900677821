package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-edge/skerry/master/apiserver"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// joinFile, in the data directory, has the token that a new cluster begins with, as long as it is good.
const joinFile = "join-token"

// firstTokenTTL is how long that one is good, for any number of nodes.
const firstTokenTTL = 24 * time.Hour

// Of tokens that are no longer good the last maxSpent are kept, so that who uses one is told why it fails; of all of
// them there are maxTokens at most.
const (
	maxSpent  = 100
	maxTokens = 1000
)

// tokens makes, lists and revokes join tokens. It implements apiserver.Tokens.
type tokens struct {
	store store.Store
	clock clock.Source
	log   zerolog.Logger
	id    identity
	// token is a token without its secret.
	token seal.Token
	// masters is for tokens with which further masters join; nil: there is no etcd, and no other master.
	masters *masterTokens
	// others, if set, are the brokers of all masters.
	others func() []string
}

var _ apiserver.Tokens = (*tokens)(nil)

// newTokens says what tokens of this master contain.
func (s *Server) newTokens() (*tokens, error) {
	t := seal.Token{Cluster: s.id.cluster}
	t.Exchange, t.Signing = s.id.keys.Public()
	for _, b := range s.config.Brokers {
		t.Brokers = append(t.Brokers, b.String())
	}
	if len(s.config.Brokers) > 0 {
		password, err := s.id.accountPassword(seal.JoinUser)
		if err != nil {
			return nil, err
		}
		t.User, t.Password = seal.JoinUser, password
	}
	if len(s.config.Brokers) == 0 || s.config.BrokerCA == caCluster {
		t.CAHash = seal.HashCA(s.id.ca.Certificate)
	}
	if len(s.config.Brokers) == 0 {
		addresses := s.config.advertised(s.config.MQTTListen, s.machine)
		for _, a := range addresses[:min(len(addresses), maxAdvertised)] {
			t.Brokers = append(t.Brokers, "mqtts://"+net.JoinHostPort(a, s.mqttPort))
		}
	}
	return &tokens{store: s.store, clock: daemon.Clock, log: s.daemon.Log, id: s.id, token: t, others: s.brokers}, nil
}

// hint is what is in joinFile when that token is no longer good.
const hint = "The first join token is no longer good. Make another one: edgectl token create\n"

// tooEarly is before this program was written: a clock that shows it was not set.
var tooEarly = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// unset reports whether a clock was never set: what it would end ends as soon as it is.
func unset(now clock.Now) bool { return now.Wall.Before(tooEarly) }

// Create implements apiserver.Tokens.
func (t *tokens) Create(ctx context.Context, ttl time.Duration, uses uint32, description string) (apiserver.Token, error) {
	token, now := t.complete(), t.clock()
	if ttl > 0 && unset(now) {
		return apiserver.Token{}, apierrors.NewBadRequest(fmt.Sprintf(
			"the master's clock says %s: a token that expires would do so when the clock is set; set it first, or make one that never expires (--ttl 0)",
			now.Wall.UTC().Format(time.DateTime)))
	}
	var err error
	if token.Secret, err = newSecret(); err != nil {
		return apiserver.Token{}, err
	}
	text, err := token.Encode()
	if err != nil {
		return apiserver.Token{}, err
	}
	id, record := resource.NewJoinToken(token.Secret, now.Wall, ttl, uses, description)
	return t.add(ctx, now, id, record, text)
}

func newSecret() ([]byte, error) {
	secret := make([]byte, seal.SecretSize)
	if _, err := io.ReadFull(rand.Reader, secret); err != nil {
		return nil, fmt.Errorf("read random bytes for a token: %w", err)
	}
	return secret, nil
}

// add stores a new token.
func (t *tokens) add(ctx context.Context, now clock.Now, id string, record resource.JoinToken, text string) (apiserver.Token, error) {
	changes, err := t.room(now)
	if err != nil {
		return apiserver.Token{}, err
	}
	changes = append(changes, change.Change{Key: tokenKey(id), Value: resource.EncodeJoinToken(record), Reason: "asked for"})
	if _, err := t.store.Commit(ctx, changes); err != nil {
		return apiserver.Token{}, fmt.Errorf("store the token: %w", err)
	}
	out := describe(id, record, now)
	out.Text = text
	return out, nil
}

// maxTokenBrokers is how many brokers a token names.
const maxTokenBrokers = 16

// complete is what a token of now contains besides its secret: this master's brokers first.
func (t *tokens) complete() seal.Token {
	token := t.token
	if t.others == nil {
		return token
	}
	token.Brokers = slices.Clone(token.Brokers)
	for _, b := range t.others() {
		if len(token.Brokers) < maxTokenBrokers && !slices.Contains(token.Brokers, b) {
			token.Brokers = append(token.Brokers, b)
		}
	}
	return token
}

// room removes the tokens that ended longest ago.
func (t *tokens) room(now clock.Now) ([]change.Change, error) {
	var spent []change.Record
	all := 0
	for rec := range t.store.View().List(resource.JoinTokenKind, "") {
		all++
		if token, err := resource.DecodeJoinToken(rec.Value); err == nil && token.Refuses(now.Wall) != "" {
			spent = append(spent, rec)
		}
	}
	var changes []change.Change
	for len(spent) > maxSpent {
		oldest := 0
		for i := range spent {
			if spent[i].Rev < spent[oldest].Rev {
				oldest = i
			}
		}
		changes = append(changes, change.Change{Key: spent[oldest].Key, Base: spent[oldest].Rev, Reason: "it ended long ago"})
		spent = append(spent[:oldest], spent[oldest+1:]...)
	}
	if all-len(changes) >= maxTokens {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("there are %d join tokens; revoke some with edgectl token revoke", maxTokens))
	}
	return changes, nil
}

// List implements apiserver.Tokens.
func (t *tokens) List() []apiserver.Token {
	now := t.clock()
	var out []apiserver.Token
	for rec := range t.store.View().List(resource.JoinTokenKind, "") {
		if token, err := resource.DecodeJoinToken(rec.Value); err == nil {
			out = append(out, describe(rec.Key.Name, token, now))
		}
	}
	return out
}

// Revoke implements apiserver.Tokens.
func (t *tokens) Revoke(ctx context.Context, id string) (bool, error) {
	for {
		rec, ok := t.store.View().Get(tokenKey(id))
		if !ok {
			return false, nil
		}
		token, err := resource.DecodeJoinToken(rec.Value)
		if err != nil {
			return false, err
		}
		if token.Revoked != 0 {
			return true, nil
		}
		token.Revoked = max(t.clock().Wall.Unix(), 1)
		_, err = t.store.Commit(ctx, []change.Change{{
			Key: rec.Key, Base: rec.Rev, Value: resource.EncodeJoinToken(token), Reason: "asked for",
		}})
		if !errors.Is(err, store.ErrConflict) {
			return err == nil, err
		}
	}
}

func describe(id string, t resource.JoinToken, now clock.Now) apiserver.Token {
	out := apiserver.Token{
		ID: id, Created: time.Unix(t.Created, 0).UTC(), Uses: t.Uses, Used: t.Used, Description: t.Description, ForMaster: t.Master,
		State: strings.TrimPrefix(string(t.Refuses(now.Wall)), "token_"),
	}
	if t.Expires != 0 {
		out.Expires = time.Unix(t.Expires, 0).UTC()
	}
	return out
}

func tokenKey(id string) change.Key { return change.Key{Kind: resource.JoinTokenKind, Name: id} }

// first makes the token that a new cluster begins with, keeps its file up to date as long as it is good, and leaves a
// hint there then. It returns the token only when it is new: nobody has been told it yet.
func (t *tokens) first(ctx context.Context, dir string) (token string, err error) {
	path := filepath.Join(dir, joinFile)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(t.List()) == 0 && t.unjoined():
		if unset(t.clock()) {
			t.log.Warn().Msg("the clock is not set, so no join token is made; set it and start the master again, or make one that never expires with edgectl token create --ttl 0")
			return "", nil
		}
		made, err := t.Create(ctx, firstTokenTTL, 0, "the cluster's first")
		if err != nil {
			return "", err
		}
		return made.Text, daemon.WriteFile(path, []byte(made.Text+"\n"), 0o600)
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read the join token: %w", err)
	}
	kept, err := seal.ParseToken(string(old))
	rec, ok := t.store.View().Get(tokenKey(kept.ID()))
	if err == nil && ok {
		if record, err := resource.DecodeJoinToken(rec.Value); err == nil && record.Refuses(t.clock().Wall) == "" {
			fresh := t.complete() // the addresses may have changed
			fresh.Secret = kept.Secret
			text, err := fresh.Encode()
			if err != nil || text+"\n" == string(old) {
				return "", err
			}
			return "", daemon.WriteFile(path, []byte(text+"\n"), 0o600)
		}
	}
	if string(old) == hint {
		return "", nil
	}
	return "", daemon.WriteFile(path, []byte(hint), 0o600)
}

// unjoined reports whether no node has ever joined.
func (t *tokens) unjoined() bool { return t.store.View().Count(resource.NodeKeyKind) == 0 }
