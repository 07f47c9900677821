package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/test/lab"
)

// Two masters of one site, the second joined by a token, and another site keep their state in one etcd. The first master is killed: the
// second one leads, and the node follows. Then the second one is cut off and goes on, the first leads, and both are written to: what
// lost is listed, shown, accepted and discarded with edgectl. edgectl fleet shows both sites from etcd, and how one was that is cut off.
func TestMastersAndSites(t *testing.T) {
	t.Parallel()
	f := newMasters(t, 1)
	first, second := f.all[0], f.all[1]
	etcd := "http://" + f.etcd[0].Address + ":2379"
	other, err := f.lab.StartMaster(f.host("other"), "--etcd", etcd, "--cluster-name", "other")
	if err != nil {
		t.Fatal(err)
	}
	f.until("edgectl fleet shows both sites", func() (bool, string) {
		out, err := fleetOf(f, etcd)
		return err == nil && strings.Contains(out, "\ndefault ") && strings.Contains(out, "\nother "), seen(out, err)
	})
	f.run("steady", "sleep")
	before := f.started("steady")

	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	t.Logf("the joined master leads after %s", f.untilLeads(second))
	f.master = second
	f.waitReady(1)
	if after := f.started("steady"); after != before {
		t.Errorf("the container was %s and is %s", before, after)
	}
	for _, name := range []string{"both", "dropped"} {
		f.kubectl("create", "configmap", name, "--from-literal=v=before")
	}
	f.kubectl("create", "secret", "generic", "crown", "--from-literal=v=old-hush")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	f.until("the first one follows", func() (bool, string) {
		out, err := first.Kubectl("get", "secret", "crown")
		return err == nil, seen(out, err)
	})

	if err := second.Host.Cut(); err != nil {
		t.Fatal(err)
	}
	f.untilLeads(first)
	set := func(name, value string) {
		t.Helper()
		f.until(name+" is written", func() (bool, string) {
			out, err := f.master.Kubectl("patch", name, "--type=merge", "-p", value)
			return err == nil, seen(out, err)
		})
	}
	for _, side := range []struct {
		name   string
		master *lab.Master
	}{{"near", second}, {"far", first}} {
		f.master = side.master
		set("configmap/both", `{"data":{"v":"`+side.name+`"}}`)
		set("configmap/dropped", `{"data":{"v":"`+side.name+`"}}`)
		set("secret/crown", `{"stringData":{"v":"`+side.name+`-hush"}}`)
	}
	if err := second.Host.Heal(); err != nil {
		t.Fatal(err)
	}
	var list string
	f.until("there are three conflicts", func() (bool, string) {
		var err error
		list, err = first.Kubectl("conflicts", "list")
		return err == nil && strings.Count(list, "another master has written it since") == 3, seen(list, err)
	})
	ids := map[string]string{}
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 2 {
			ids[fields[2]] = fields[0]
		}
	}
	f.contains(list, "patch by skerry-admin", "configmaps/both", "secrets/crown")
	f.contains(f.kubectl("conflicts", "show", ids["configmaps/both"]), "-  v: far", "+  v: near")
	if shown := f.kubectl("conflicts", "show", ids["secrets/crown"]); strings.Contains(shown, "hush") || !strings.Contains(shown, "another value") {
		t.Errorf("of a Secret: %s", shown)
	}
	f.contains(f.kubectl("describe", "configmap", "both"), "WriteConflict")
	f.contains(f.kubectl("conflicts", "accept", ids["configmaps/both"]), "accepted")
	f.contains(f.kubectl("conflicts", "discard", ids["configmaps/dropped"], ids["secrets/crown"]), "discarded")
	f.contains(f.kubectl("conflicts", "list"), "There are no conflicts")
	for name, want := range map[string]string{"both": "near", "dropped": "far"} {
		if got := f.field("configmap", name, ".data.v"); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}

	if err := other.Host.Cut(); err != nil {
		t.Fatal(err)
	}
	f.until("edgectl fleet shows that the other site is cut off", func() (bool, string) {
		out, err := fleetOf(f, etcd)
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "other ") {
				return strings.Contains(line, "none is seen") && strings.Contains(line, " 0/1 ") && strings.Contains(line, " ago"), line
			}
		}
		return false, seen(out, err)
	})
	out, err := fleetOf(f, etcd)
	if err != nil || !strings.Contains(out, " 2/2 ") || !strings.Contains(out, " 1/1 ") {
		t.Errorf("the site that is not cut off: %s %v", out, err)
	}
	t.Log("\n" + out)
}

// fleetOf is edgectl fleet, run on the machine with etcd.
func fleetOf(f *masters, etcd string) (string, error) {
	cmd := f.etcd[0].Command(f.lab.Bin+"/edgectl", "fleet", "--etcd", etcd)
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return string(out), err
}
