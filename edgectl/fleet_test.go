package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/edgectl/fleet"
)

func trimmed(text string) (out []string) {
	for line := range strings.Lines(text) {
		out = append(out, strings.TrimRight(line, " \n"))
	}
	return out
}

// One line a site; one that is cut off shows how old it is, and no leader.
func TestSitesPrinted(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var out bytes.Buffer
	err := printSites(&out, []fleet.Site{
		{Name: "barn", Term: 2, Masters: []fleet.Master{{Name: "pi-9"}}, Nodes: fleet.Count{Good: 1, All: 1}, Pods: fleet.Count{Good: 3, All: 3}, Synced: now.Add(-2 * time.Hour)},
		{Name: "home", Leader: "pi-1", Term: 3, Masters: []fleet.Master{{Alive: true, Leads: true}, {Alive: true}}, Nodes: fleet.Count{Good: 4, All: 5}, Pods: fleet.Count{Good: 12, All: 14}, Synced: now.Add(-4 * time.Second)},
		{Name: "new\x1b[2J", Problem: "what is under epoch can't be read"},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"SITE      LEADER         TERM   MASTERS   NODES READY   PODS RUNNING   SYNCED",
		"barn      none is seen   2      0/1       1/1           3/3            120m ago",
		"home      pi-1           3      2/2       4/5           12/14          4s ago",
		"new�[2J   none is seen   0      0/0       0/0           0/0            never",
		"new�[2J: what is under epoch can't be read",
	}
	if diff := cmp.Diff(want, trimmed(out.String())); diff != "" {
		t.Error(diff)
	}
}

// Wrong flags are refused with the flag's name and the remedy, and no password is repeated.
func TestFleetFlags(t *testing.T) {
	for want, f := range map[string]etcdFlags{
		"--etcd is needed":                     {},
		"--etcd-cert and --etcd-key":           {urls: []string{"https://e:2379"}, cert: "x"},
		"--etcd-user and --etcd-password-file": {urls: []string{"https://e:2379"}, user: "x"},
		"is https://HOST:2379":                 {urls: []string{"e:2379"}},
		"can be read by every user":            {urls: []string{"https://me:hunter2@e:2379"}},
		"--etcd-cacert":                        {urls: []string{"https://e"}, caCert: "/nonexistent"},
		"is not json":                          {urls: []string{"https://e"}, output: "yaml"},
	} {
		if _, err := f.config(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A conflict is one line in the list, and as a difference on its own.
func TestConflictsPrinted(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := conflict{ID: "0a1b2c3d4e", Kind: "deployments.apps", Namespace: "default", Name: "web", By: "update by alice", Master: "pi-1", Epoch: "3.0",
		Written: now.Add(-90 * time.Minute), Reason: "another master has written it since",
		Lost:    json.RawMessage(`{"kind":"Deployment","spec":{"replicas":3}}`),
		Current: json.RawMessage(`{"kind":"Deployment","spec":{"replicas":2}}`)}
	var out bytes.Buffer
	if err := printConflicts(&out, []conflict{c}, now); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ID           OBJECT                         WRITE             ON     EPOCH   WRITTEN   LOST BECAUSE",
		"0a1b2c3d4e   default deployments.apps/web   update by alice   pi-1   3.0     90m ago   another master has written it since",
	}
	if diff := cmp.Diff(want, trimmed(out.String())); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	if err := printConflict(&out, c); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"default deployments.apps/web: on pi-1 in epoch 3.0 at 2027-01-15 06:30:00 UTC: update by alice, lost: another master has written it since",
		"--- in force", "+++ lost", " kind: Deployment", " spec:", "-  replicas: 2", "+  replicas: 3",
	}
	if diff := cmp.Diff(want, trimmed(out.String())); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	c.Deleted, c.Lost = true, nil
	if err := printConflict(&out, c); err != nil || !strings.Contains(out.String(), "It was deleted; in force is:") {
		t.Errorf("%v: %s", err, out.String())
	}
}
