package apiserver

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/protocol/recovery"
)

// door lets in who has the right secret.
type door struct{}

func (door) Join(_ context.Context, ask MasterJoinRequest, _ recovery.Recipient) (MasterJoin, error) {
	if string(ask.Secret) != "open sesame" {
		return MasterJoin{}, MasterJoinRefused("the token is not known here")
	}
	return MasterJoin{Keys: []byte("sealed")}, nil
}

// A machine that joins as a master has no other credential than its token. What is no request to join, or comes to a master that
// can't answer, is refused in words, and reaches nothing behind it.
func TestMastersJoin(t *testing.T) {
	key, err := recovery.NewKey(strings.NewReader(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	good := MasterJoinRequest{Token: "00000001", Secret: []byte("open sesame"), Recipient: key.Recipient().String(), Name: "pi"}
	changed := func(change func(*MasterJoinRequest)) string {
		ask := good
		change(&ask)
		text, err := json.Marshal(ask)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	fine := changed(func(*MasterJoinRequest) {})
	for name, c := range map[string]struct {
		masters Masters
		joins   MasterJoins
		method  string
		body    string
		code    int
		want    string
	}{
		"good":         {others{}, door{}, "POST", fine, 200, "c2VhbGVk"},
		"guessed":      {others{}, door{}, "POST", changed(func(m *MasterJoinRequest) { m.Secret = nil }), 403, "not known here"},
		"no recipient": {others{}, door{}, "POST", changed(func(m *MasterJoinRequest) { m.Recipient = "" }), 400, "no request to join"},
		"long name":    {others{}, door{}, "POST", changed(func(m *MasterJoinRequest) { m.Name = strings.Repeat("x", 300) }), 400, "no request to join"},
		"garbage":      {others{}, door{}, "POST", "{", 400, "no request to join"},
		"large":        {others{}, door{}, "POST", strings.Repeat(" ", maxTokenRequest+1), 413, "small"},
		"read":         {others{}, door{}, "GET", "", 405, ""},
		"no etcd":      {nil, door{}, "POST", fine, 400, "two clusters"},
		"follower":     {others{url: "https://leader:6443", elsewhere: true}, door{}, "POST", fine, 503, "https://leader:6443"},
		"no leader":    {others{elsewhere: true}, door{}, "POST", fine, 503, "no master leads"},
	} {
		a := newAPI(t, func(config *Config) {
			config.MasterJoins = c.joins
			if c.masters != nil {
				config.Masters = c.masters
			}
		})
		r := a.do(ask{method: c.method, path: masterJoinsPath, body: c.body, groups: []string{}})
		if r.code != c.code || !strings.Contains(string(r.body), c.want) || strings.Contains(string(r.body), "sesame") {
			t.Errorf("%s: %d %s, want %d and %q", name, r.code, r.body, c.code, c.want)
		}
	}
}
