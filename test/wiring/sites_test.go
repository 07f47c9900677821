package wiring

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/edgectl/fleet"
	"github.com/skerry-edge/skerry/test/lab"
)

func sites(t *testing.T, e *lab.Etcd) map[string]fleet.Site {
	t.Helper()
	all, err := fleet.NewClient(fleet.Config{Endpoints: []string{e.URL}}).Sites(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]fleet.Site{}
	for _, s := range all {
		out[s.Name] = s
	}
	return out
}

// Two sites keep their state in one etcd, and one's name is the beginning of the other's. edgectl fleet tells how each is, and how
// one was that is off. Wiping one from etcd does nothing to the other, and the wiped one fills it again.
func TestSitesInOneEtcd(t *testing.T) {
	e := startEtcd(t)
	if all := sites(t, e); len(all) != 0 {
		t.Errorf("in an empty etcd are %v", all)
	}
	barn, barn2 := newSite(t, e), newSite(t, e)
	barn.config.Cluster, barn2.config.Cluster = "barn", "barn2"
	barn.startMaster()
	stop2 := barn2.startMaster()
	_, stopAgent := barn.startAgent("node-1", nil)
	barn.until("the node is Ready", func() bool { return barn.ready("node-1") })
	barn.runPod("one")
	barn.until("the pod runs", func() bool { return barn.running("one") })
	barn.until("etcd has it all", func() bool {
		s := sites(t, e)["barn"]
		return s.Pods == fleet.Count{Good: 1, All: 1} && s.Nodes == fleet.Count{Good: 1, All: 1} && !s.Synced.IsZero()
	})
	all := sites(t, e)
	if len(all) != 2 || all["barn2"].Nodes.All != 0 {
		t.Errorf("sites: %+v", all)
	}
	for name, s := range all {
		if s.Leader == "" || s.Term != 1 || len(s.Masters) != 1 || !s.Masters[0].Alive || !s.Masters[0].Leads || s.Problem != "" {
			t.Errorf("site %s: %+v", name, s)
		}
	}

	before := e.Dump("/skerry/barn/objects/")
	if err := e.Wipe("/skerry/barn2/"); err != nil {
		t.Fatal(err)
	}
	barn2.until("the wiped site is there again, in a newer term", func() bool { s := sites(t, e)["barn2"]; return s.Term > 1 && s.Leader != "" && !s.Synced.IsZero() })
	barn.secretNamed("still-taken")
	if s := sites(t, e)["barn"]; s.Term != 1 || !barn.leads() {
		t.Errorf("the other site was disturbed: %+v", s)
	}
	after := e.Dump("/skerry/barn/objects/")
	for key := range before {
		if _, ok := after[key]; !ok {
			t.Errorf("the other site has lost %s", key)
		}
	}

	stop2()
	barn.until("the one that is off is seen to be", func() bool {
		s := sites(t, e)["barn2"]
		return len(s.Masters) == 1 && !s.Masters[0].Alive && s.Leader == "" && !s.Synced.IsZero()
	})
	if s := sites(t, e)["barn"]; s.Term != 1 || s.Leader == "" {
		t.Errorf("the other site was disturbed: %s", cmp.Diff(all["barn"], s))
	}
	stopAgent()
}
