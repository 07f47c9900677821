package e2e

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A master whose data directory is lost makes another cluster, which is younger than the one before: its epochs are
// lower. A node of the old one says what to do, joins the new one when somebody does it, and lets go of what it ran.
func TestAClusterIsSetUpAnew(t *testing.T) {
	f := newFleet(t, 1, quick...)
	for range 2 { // each start begins an epoch
		if _, err := f.master.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := f.master.Start(); err != nil {
			t.Fatal(err)
		}
	}
	f.waitReady(1)
	f.run("old", "sleep")
	agent := f.nodes[0]
	for _, p := range []interface{ Stop() (int, error) }{agent, f.master} {
		if _, err := p.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(f.lab.Dir, "master")); err != nil {
		t.Fatal(err)
	}
	if err := f.master.Start(); err != nil {
		t.Fatal(err)
	}
	f.until("the master serves", func() (bool, string) {
		out, err := f.master.Kubectl("get", "--raw", "/readyz")
		return err == nil, seen(out, err)
	})
	token := f.newToken()
	stays, err := f.lab.StartAgent(agent.Host, token)
	if err != nil {
		t.Fatal(err)
	}
	f.until("the agent says what to do", func() (bool, string) {
		log := stays.Log()
		return strings.Contains(log, "remove the file identity in "+agent.DataDir), log
	})
	if _, err := stays.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(agent.DataDir, "identity")); err != nil {
		t.Fatal(err)
	}
	joins, err := f.lab.StartAgent(agent.Host, token)
	if err != nil {
		t.Fatal(err)
	}
	f.Cleanup(func() { endContainers(joins) })
	f.waitReady(1)
	f.run("new", "sleep")
	f.until("what it ran before is gone", func() (bool, string) {
		tasks, err := joins.Tasks()
		return err == nil && len(tasks) == 1, fmt.Sprint(tasks, err)
	})
}

// Who owns the broker keeps all that a machine said when it joined, and says it again when its node has been removed:
// to the same master, and to the next one. Nobody joins.
func TestAJoinIsReplayed(t *testing.T) {
	f := &fleet{T: t, lab: newLab(t)}
	broker := f.host("broker")
	config := filepath.Join(f.lab.Dir, "mosquitto.conf")
	if err := os.WriteFile(config, []byte("listener 1883 0.0.0.0\nallow_anonymous true\npersistence false\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.lab.Start("mosquitto", broker, "mosquitto", "-c", config); err != nil {
		t.Fatal(err)
	}
	f.startMaster(append([]string{"--broker", "tcp://" + broker.Address + ":1883"}, quick...)...)
	asks := "skerry/+/join/+/ask"
	listen := []string{"-h", "127.0.0.1", "-p", "1883", "-t", asks, "-F", "%t %x"}
	recorder, err := f.lab.Start("recorder", broker, "mosquitto_sub", listen...)
	if err != nil {
		t.Fatal(err)
	}
	probe := "skerry/other/join/probe/ask"
	f.until("the recorder listens", func() (bool, string) {
		out, err := broker.Command("mosquitto_pub", "-h", "127.0.0.1", "-p", "1883", "-t", probe, "-m", "x").CombinedOutput()
		return err == nil && strings.Contains(recorder.Log(), probe), string(out)
	})
	agent := f.addNode()
	f.waitReady(1)
	if _, err := agent.Stop(); err != nil {
		t.Fatal(err)
	}
	f.kubectl("delete", "node", "node-1")

	replay := func() {
		t.Helper()
		said := 0
		for line := range strings.Lines(recorder.Log()) {
			topic, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			payload, err := hex.DecodeString(text)
			if err != nil || topic == probe || !strings.HasPrefix(topic, "skerry/") {
				continue
			}
			say := broker.Command("mosquitto_pub", "-h", "127.0.0.1", "-p", "1883", "-q", "1", "-t", topic, "-s")
			say.Stdin = bytes.NewReader(payload)
			if out, err := say.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			said++
		}
		if said < 2 {
			t.Fatalf("%d messages were recorded: %s", said, recorder.Log())
		}
	}
	// refusals is how many messages of machines that want to join the master has refused, and joined how many joined.
	count := func() (refusals, joined string) {
		t.Helper()
		out, err := f.master.Host.Command("curl", "-sf", "http://127.0.0.1:9640/metrics").CombinedOutput()
		if err != nil {
			return "", ""
		}
		for line := range strings.Lines(string(out)) {
			for verdict, value := range map[string]*string{"unreadable": &refusals, "joined": &joined} {
				if rest, ok := strings.CutPrefix(line, `skerry_enroll_attempts_total{verdict="`+verdict+`"} `); ok {
					*value = strings.TrimSpace(rest)
				}
			}
		}
		return refusals, joined
	}
	check := func(what, wantJoined string) {
		t.Helper()
		f.until(what+" refuses the recorded proof", func() (bool, string) {
			refusals, joined := count()
			return refusals != "", refusals + " refused, " + joined + " joined"
		})
		if _, joined := count(); joined != wantJoined {
			t.Errorf("%s let %q machines in, want %q", what, joined, wantJoined)
		}
		if nodes := f.kubectl("get", "nodes", "-o", "name"); nodes != "" {
			t.Errorf("%s has nodes: %s", what, nodes)
		}
	}
	replay()
	check("the same master", "1")
	if _, err := f.master.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := f.master.Start(); err != nil {
		t.Fatal(err)
	}
	f.until("the next master is at the broker", func() (bool, string) {
		out, err := f.master.Kubectl("get", "--raw", "/readyz")
		return err == nil, seen(out, err)
	})
	replay()
	check("the next master", "")
	if list := f.kubectl("token", "list"); !strings.Contains(list, "1 of any") {
		t.Errorf("a recorded join has used the token: %s", list)
	}
}

// A broker with one account for everybody, which the master's URL names, is in no token: an agent that knows it by
// --broker joins, one that does not says what is wrong and goes on trying.
func TestABrokerWithOneAccount(t *testing.T) {
	f := &fleet{T: t, lab: newLab(t)}
	host := f.host("broker")
	config, passwords := filepath.Join(f.lab.Dir, "mosquitto.conf"), filepath.Join(f.lab.Dir, "passwords")
	text := "user root\nlistener 1883 0.0.0.0\nallow_anonymous false\npersistence false\npassword_file " + passwords + "\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := host.Command("mosquitto_passwd", "-b", "-c", passwords, "shared", "pass").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := f.lab.Start("mosquitto", host, "mosquitto", "-c", config); err != nil {
		t.Fatal(err)
	}
	url := "tcp://shared:pass@" + host.Address + ":1883"
	f.startMaster(append([]string{"--broker", url}, quick...)...)
	spare, err := f.lab.StartAgent(f.host("spare"), f.token)
	if err != nil {
		t.Fatal(err)
	}
	f.until("the agent says that it has no account", func() (bool, string) {
		out, err := spare.Host.Command("curl", "-s", "http://127.0.0.1:9641/readyz").CombinedOutput()
		return contains(string(out), "this node has not joined yet", "it refuses the user name or password"), string(out) + seen("", err)
	})
	if !spare.Running() {
		t.Error("it has given up")
	}
	agent := f.addNode("--broker", url)
	f.waitReady(1)
	f.run("app", "sleep")
	if all := agent.Log() + f.master.Log() + spare.Log(); strings.Contains(all, "shared:pass") {
		t.Error("a log has the account's password")
	}
}
