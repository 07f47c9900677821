package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// madeTokens are the tokens of a new cluster, by a clock that the test sets.
func madeTokens(t *testing.T, config Config) (*tokens, *time.Time) {
	t.Helper()
	id, err := newIdentity(rand.Reader, "home")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{config: config, id: id, mqttPort: "8883", daemon: &daemon.Daemon{Log: zerolog.Nop()}}
	if s.tokens, err = s.newTokens(); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	s.tokens.store = store.NewMemory(store.Config{Schema: resource.Schema()})
	s.tokens.clock = func() clock.Now { return clock.Now{Wall: now} }
	return s.tokens, &now
}

func parse(t *testing.T, text string) seal.Token {
	t.Helper()
	token, err := seal.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// The token names every way to the broker, whom to trust there, and which account to join with.
func TestJoinToken(t *testing.T) {
	t.Parallel()
	own, _ := madeTokens(t, Config{Advertise: []string{"192.0.2.1", "2001:db8::1", "master.example"}})
	made, err := own.Create(t.Context(), time.Hour, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	token := parse(t, made.Text)
	if want := []string{"mqtts://192.0.2.1:8883", "mqtts://[2001:db8::1]:8883", "mqtts://master.example:8883"}; !slices.Equal(token.Brokers, want) {
		t.Errorf("brokers %v, want %v", token.Brokers, want)
	}
	if user, _ := token.Account(); token.CAHash != seal.HashCA(own.id.ca.Certificate) || token.Cluster != "home" || token.User != "" || user != seal.JoinUser {
		t.Errorf("cluster %s, hash %x, user %s", token.Cluster, token.CAHash, token.User)
	}

	brokers, err := mqtt.ParseBrokers([]string{"mqtts://user:secret@broker.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, authority := range []string{caSystem, caCluster} {
		foreign, _ := madeTokens(t, Config{Brokers: brokers, BrokerCA: authority})
		if made, err = foreign.Create(t.Context(), 0, 0, ""); err != nil {
			t.Fatal(err)
		}
		token = parse(t, made.Text)
		if token.CAHash.IsZero() != (authority == caSystem) || len(token.Brokers) != 1 || token.Brokers[0] != "mqtts://broker.example:8883" {
			t.Errorf("with a broker of one's own, %s: %v, hash %x", authority, token.Brokers, token.CAHash)
		}
		if want, _ := foreign.id.accountPassword(seal.JoinUser); token.User != seal.JoinUser || token.Password != want || want == "" {
			t.Errorf("with a broker of one's own: account %s, %s", token.User, token.Password)
		}
	}
}

// Tokens end by time, by use and by decision; what is kept of them gives no secret away.
func TestTokens(t *testing.T) {
	t.Parallel()
	tokens, now := madeTokens(t, Config{Advertise: []string{"m"}})
	texts := map[string]string{}
	for name, ask := range map[string]struct {
		ttl  time.Duration
		uses uint32
	}{"an hour": {time.Hour, 0}, "for ever": {0, 0}, "once": {0, 1}} {
		made, err := tokens.Create(t.Context(), ask.ttl, ask.uses, name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = made.Text
		if strings.Contains(fmt.Sprint(tokens.List()), made.Text) {
			t.Error("the list has a token's text")
		}
		secret := parse(t, made.Text).Secret
		for rec := range tokens.store.View().List(resource.JoinTokenKind, "") {
			if strings.Contains(string(rec.Value), string(secret)) {
				t.Error("the store has a token's secret")
			}
		}
	}
	states := func() map[string]string {
		out := map[string]string{}
		for _, token := range tokens.List() {
			out[token.Description] = token.State
		}
		return out
	}
	if got := fmt.Sprint(states()); got != "map[an hour: for ever: once:]" {
		t.Errorf("new: %s", got)
	}
	id := parse(t, texts["once"]).ID()
	rec, _ := tokens.store.View().Get(tokenKey(id))
	record, err := resource.DecodeJoinToken(rec.Value)
	if err != nil {
		t.Fatal(err)
	}
	record.Used++
	if _, err := tokens.store.Commit(t.Context(), []change.Change{{Key: rec.Key, Base: rec.Rev, Value: resource.EncodeJoinToken(record)}}); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(time.Hour)
	if found, err := tokens.Revoke(t.Context(), parse(t, texts["for ever"]).ID()); !found || err != nil {
		t.Errorf("revoked: %v, %v", found, err)
	}
	if got := fmt.Sprint(states()); got != "map[an hour:expired for ever:revoked once:used_up]" {
		t.Errorf("at the end: %s", got)
	}
	if found, err := tokens.Revoke(t.Context(), "ffffffff"); found || err != nil {
		t.Errorf("one that there is not: %v, %v", found, err)
	}
	for range maxSpent + 20 {
		if _, err := tokens.Create(t.Context(), time.Second, 0, ""); err != nil {
			t.Fatal(err)
		}
		*now = now.Add(time.Second)
	}
	if count := len(tokens.List()); count > maxSpent+2 {
		t.Errorf("%d tokens are remembered", count)
	}
}

// The first token's file is there as long as it is good, and never comes back.
func TestFirstToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, joinFile)
	tokens, now := madeTokens(t, Config{Advertise: []string{"m1"}})
	text, err := tokens.first(t.Context(), dir)
	if err != nil || text == "" {
		t.Fatalf("first: %q, %v", text, err)
	}
	read := func() string {
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return string(data)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || read() != text+"\n" {
		t.Errorf("the file: %v, %v", info, err)
	}
	if again, err := tokens.first(t.Context(), dir); again != "" || err != nil || read() != text+"\n" {
		t.Errorf("at the next start: %q, %v", again, err)
	}
	tokens.token.Brokers = []string{"mqtts://m2:8883"}
	if again, err := tokens.first(t.Context(), dir); again != "" || err != nil || parse(t, read()).Brokers[0] != "mqtts://m2:8883" {
		t.Errorf("at another address: %q, %v", again, err)
	}
	*now = now.Add(firstTokenTTL)
	for range 2 {
		if again, err := tokens.first(t.Context(), dir); again != "" || err != nil || read() != hint {
			t.Errorf("when it has expired: %q, %v; the file has %q", again, err, read())
		}
	}
}

// A lifetime that begins before the clock is set would end when it is: no such token is made, and none for a new
// cluster until the clock is set.
func TestTokensWithoutAClock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tokens, now := madeTokens(t, Config{Advertise: []string{"m"}})
	set := *now
	*now = time.Unix(100, 0)
	if text, err := tokens.first(t.Context(), dir); text != "" || err != nil {
		t.Errorf("the first token in 1970: %q, %v", text, err)
	}
	_, err := tokens.Create(t.Context(), time.Hour, 1, "")
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "1970-01-01 00:01:40") || !strings.Contains(err.Error(), "--ttl 0") {
		t.Errorf("a token for an hour: %v", err)
	}
	*now = set
	if text, err := tokens.first(t.Context(), dir); text == "" || err != nil {
		t.Errorf("the first token when the clock is set: %q, %v", text, err)
	}
	*now = time.Unix(100, 0)
	if made, err := tokens.Create(t.Context(), 0, 1, ""); made.Text == "" || err != nil {
		t.Errorf("a token for ever: %q, %v", made.Text, err)
	}
}
