package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/test/lab"
)

// newToken is a join token of edgectl.
func (f *fleet) newToken(args ...string) string {
	f.Helper()
	return strings.TrimSpace(f.kubectl(append([]string{"token", "create", "-o", "token"}, args...)...))
}

// contains checks that all of this was said.
func (f *fleet) contains(out string, wants ...string) {
	f.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			f.Errorf("it does not say %q: %s", want, out)
		}
	}
}

// tryJoin starts an agent that must be refused, and returns what it says.
func (f *fleet) tryJoin(host *lab.Host, token string, args ...string) string {
	f.Helper()
	agent, err := f.lab.StartAgent(host, token, args...)
	if err != nil {
		f.Fatal(err)
	}
	if err := agent.Wait(patience); err != nil {
		f.Fatalf("the agent goes on: %v", err)
	}
	if code := agent.ExitCode(); code != 2 {
		f.Errorf("exit code %d, want 2", code)
	}
	if err := os.RemoveAll(filepath.Join(f.lab.Dir, host.Name)); err != nil {
		f.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(agent.Log()), "\n")
	return lines[len(lines)-1]
}

// Tokens let in as many machines as they say, as long as they say; each refusal is one line that says what to do, and
// the end of the process. The words are for whoever stands before the device.
func TestTokens(t *testing.T) {
	f := newFleet(t, 0, quick...)
	spare := f.host("spare")
	line := strings.TrimSpace(f.kubectl("token", "create", "--uses", "1", "--ttl", "1h", "--description", "for one"))
	token, ok := strings.CutPrefix(line, "skerry-agent --join ")
	if !ok {
		t.Fatalf("edgectl token create prints %q", line)
	}
	f.token = token
	f.addNode()
	f.waitReady(1)
	f.contains(f.kubectl("token", "list"), "for one", "used up", "1 of 1")
	if list := f.kubectl("token", "list", "-o", "json") + f.kubectl("token", "list"); strings.Contains(list, "sk1.") {
		t.Errorf("a list shows tokens: %s", list)
	}

	f.contains(f.tryJoin(spare, token), "as many nodes as the token", "edgectl token create")
	f.contains(f.tryJoin(spare, f.newToken(), "--node-name", "node-1"), "--node-name: another device is the node node-1", "edgectl delete node node-1")

	revoked := f.newToken()
	for _, row := range strings.Split(f.kubectl("token", "list"), "\n")[1:] {
		if fields := strings.Fields(row); slices.Contains(fields, "good") && !strings.Contains(row, "first") {
			f.contains(f.kubectl("token", "revoke", fields[0]), "token "+fields[0]+" revoked")
		}
	}
	f.contains(f.tryJoin(spare, revoked), "was revoked", "edgectl token create")

	brief := f.newToken("--ttl", "1s")
	f.until("the token expires", func() (bool, string) {
		list := f.kubectl("token", "list")
		return strings.Contains(list, "expired"), list
	})
	f.contains(f.tryJoin(spare, brief), "has expired", "edgectl token create")

	f.contains(f.refused("", "token", "revoke", "nonsense"), "there is no join token nonsense")
	f.contains(f.refused("", "token", "revoke"), "name the tokens to revoke")
	f.contains(f.refused("", "token", "create", "--ttl", "-1h"), "--ttl -1h is too short")
	f.contains(f.refused("", "token", "create", "--ttl", "1000000h"), "ttlSeconds")
	f.contains(f.refused("", "token", "create", "--output", "yaml"), `--output "yaml" is none of`)
	f.contains(f.tryJoin(spare, token[:len(token)-3]), "--join: the join token is cut off or mistyped")
}

// A token of another cluster leads to a broker that is not that cluster's: the agent says so and keeps trying, for
// the cluster may come back there.
func TestTheTokenOfAnotherCluster(t *testing.T) {
	f := newFleet(t, 0, quick...)
	foreign := f.token
	if _, err := f.master.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(f.lab.Dir, "master")); err != nil {
		t.Fatal(err)
	}
	if err := f.master.Start(); err != nil {
		t.Fatal(err)
	}
	agent, err := f.lab.StartAgent(f.host("spare"), foreign)
	if err != nil {
		t.Fatal(err)
	}
	f.until("the agent says that it is another cluster's", func() (bool, string) {
		log := agent.Log()
		return strings.Contains(log, "it belongs to another cluster, or somebody is in between"), log
	})
	if !agent.Running() {
		t.Error("it has given up")
	}
}

// A node that is deleted learns it, stops what it ran, and says what to do; with a new token it is a node again, also
// under its old name.
func TestANodeIsRemoved(t *testing.T) {
	f := newFleet(t, 1, quick...)
	f.run("app", "sleep")
	agent := f.nodes[0]
	f.kubectl("delete", "node", "node-1")
	f.until("the agent knows", func() (bool, string) {
		log := agent.Log()
		return strings.Contains(log, "this node was removed from the cluster"), log
	})
	f.until("its containers are gone", func() (bool, string) {
		tasks, err := agent.Tasks()
		return err == nil && len(tasks) == 0, strings.Join(tasks, " ")
	})
	f.waitReady(0)

	// In its next run it still knows, and does not run what it once ran, nor join again with the token that is still in
	// its config file, though that is still good.
	if _, err := agent.Stop(); err != nil {
		t.Fatal(err)
	}
	again, err := f.lab.StartAgent(agent.Host, f.token)
	if err != nil {
		t.Fatal(err)
	}
	f.until("it is told again", func() (bool, string) {
		out, err := agent.Host.Command("curl", "-s", "http://127.0.0.1:9641/readyz").CombinedOutput()
		return strings.Contains(string(out), "this node was removed from the cluster"), string(out) + seen("", err)
	})
	if tasks, err := again.Tasks(); err != nil || len(tasks) > 0 {
		t.Errorf("it runs %v, %v", tasks, err)
	}
	if _, err := again.Stop(); err != nil {
		t.Fatal(err)
	}

	third, err := f.lab.StartAgent(agent.Host, f.newToken())
	if err != nil {
		t.Fatal(err)
	}
	f.Cleanup(func() { endContainers(third) })
	f.waitReady(1)
	f.kubectl("run", "next", "--image="+probe, "--", "sleep")
	f.untilRunning("next")
}

// The identity outlives restarts of the agent, without a token; the key changes while pods run, and nothing restarts.
func TestTheKeyChanges(t *testing.T) {
	f := newFleet(t, 1, quick...)
	f.run("app", "sleep")
	before := f.started("app")
	agent := f.nodes[0]
	if _, err := agent.Stop(); err != nil {
		t.Fatal(err)
	}
	again, err := f.lab.StartAgent(agent.Host, "")
	if err != nil {
		t.Fatal(err)
	}
	f.waitReady(1)
	identity := filepath.Join(f.lab.Dir, "node-1", "identity")
	old, err := os.ReadFile(identity)
	if err != nil {
		t.Fatal(err)
	}
	f.kubectl("annotate", "node", "node-1", "skerry.dev/rotate-key=once")
	f.until("the node has a new key", func() (bool, string) {
		log := f.master.Log()
		return strings.Contains(log, "node has a new key"), log
	})
	if now, err := os.ReadFile(identity); err != nil || string(now) == string(old) {
		t.Errorf("the identity is as before: %v", err)
	}
	f.kubectl("run", "later", "--image="+probe, "--", "sleep")
	f.untilRunning("later")
	if after := f.started("app"); after != before {
		t.Errorf("the container was %s and is %s", before, after)
	}

	// The old key is worth nothing any more.
	if _, err := again.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(identity, old, 0o600); err != nil {
		t.Fatal(err)
	}
	stolen, err := f.lab.StartAgent(agent.Host, "")
	if err != nil {
		t.Fatal(err)
	}
	f.until("the broker refuses the old key", func() (bool, string) {
		log := stolen.Log()
		return strings.Contains(log, "it refuses the user name or password"), log
	})
}
