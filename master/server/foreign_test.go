package server

import (
	"crypto/rand"
	"testing"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

// A broker of one's own gets an account for each node, also for one that was removed: it is to be told so.
func TestBrokerAccess(t *testing.T) {
	t.Parallel()
	id, err := newIdentity(rand.Reader, "home")
	if err != nil {
		t.Fatal(err)
	}
	home := sealtest.Cluster{Name: "home", Keys: id.keys}
	nodes := map[string]*sealtest.Node{"n1": home.NewNode("n1"), "gone": home.NewNode("gone")}
	s := store.NewMemory(store.Config{Schema: resource.Schema()})
	for name, revoked := range map[string]int64{"n1": 0, "gone": 7} {
		_, err := s.Commit(t.Context(), []change.Change{{
			Key:   change.Key{Kind: resource.NodeKeyKind, Name: name},
			Value: resource.EncodeNodeKey(resource.NodeKey{Key: nodes[name].Public(), Revoked: revoked}),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	access, err := brokerAccess{s, id}.Access([]string{"broker.example"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, a := range access.Accounts {
		got[a.Name+" "+a.Role] = a.Password
	}
	for name, n := range nodes {
		if got[name+" node"] != n.Box().Password() {
			t.Errorf("the account of %s is %q", name, got[name+" node"])
		}
	}
	if got["@master master"] == "" || got["@join join"] == "" || len(got) != 4 {
		t.Errorf("accounts: %d", len(got))
	}
	if _, err := (brokerAccess{s, id}).Access([]string{"not a name"}); err == nil {
		t.Error("a certificate is made for a name that is none")
	}
}
