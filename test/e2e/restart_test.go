package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/test/lab"
)

// An agent that dies and comes back adopts its containers: they keep running, with the same start time.
func TestAgentRestarts(t *testing.T) {
	f := newFleet(t, 1, quick...)
	node := f.node(f.run("steady", "sleep"))
	before := f.started("steady")
	for i, how := range []struct {
		name string
		end  func() error
	}{
		{"kill -9", node.Kill},
		{"SIGTERM", func() error {
			code, err := node.Stop()
			if err == nil && code != 0 {
				err = fmt.Errorf("the agent ended with code %d", code)
			}
			return err
		}},
	} {
		if err := how.end(); err != nil {
			t.Fatal(err)
		}
		// The steady one, and one of each time before.
		if tasks, err := node.Tasks(); err != nil || len(tasks) != 1+i {
			t.Errorf("%s: %d containers run without their agent, want %d (%v)", how.name, len(tasks), 1+i, err)
		}
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		f.kubectl("run", "news-"+fmt.Sprint(node.PID()), "--image="+probe, "--", "sleep")
		f.untilRunning("news-" + fmt.Sprint(node.PID())) // so the agent is at work again
		if after := f.started("steady"); after != before {
			t.Errorf("%s: the container was %s and is %s", how.name, before, after)
		}
	}
}

// A master that dies and comes back has forgotten nothing; no container is restarted and no pod is evicted,
// however long the nodes were silent meanwhile.
func TestMasterRestarts(t *testing.T) {
	f := newFleet(t, 2, quick...)
	f.run("steady", "sleep")
	f.apply(deployment("web", 2))
	f.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
	state := func() string {
		return f.kubectl("get", "pods", "-o", `jsonpath={range .items[*]}{.metadata.uid} {.spec.nodeName} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].state.running.startedAt}{"\n"}{end}`)
	}
	before := state()
	if err := f.master.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := f.master.Start(); err != nil {
		t.Fatal(err)
	}
	f.until("the API answers", func() (bool, string) {
		out, err := f.master.Kubectl("get", "--raw", "/readyz")
		return err == nil, seen(out, err)
	})
	f.waitReady(2)
	f.kubectl("run", "news", "--image="+probe, "--", "sleep")
	f.untilRunning("news")
	f.kubectl("delete", "pod", "news", "--now")
	if after := state(); after != before {
		t.Errorf("before the restart:\n%safter it:\n%s", before, after)
	}
	if reasons := f.kubectl("get", "events", "-A", "-o", "jsonpath={.items[*].reason}"); strings.Contains(reasons, "Evict") || strings.Contains(reasons, "NodeNotReady") {
		t.Errorf("the restart led to the events %s", reasons)
	}
}

// containerd that dies and comes back takes nothing with it, and what is asked for meanwhile comes.
func TestContainerdRestarts(t *testing.T) {
	own := containerd // of all tests; it runs again before the next
	f := newFleet(t, 1, quick...)
	f.run("steady", "sleep")
	before := f.started("steady")
	if err := own.Kill(); err != nil {
		t.Fatal(err)
	}
	f.kubectl("run", "later", "--image="+probe, "--", "sleep")
	f.untilPrints("node-1", "get", "pod", "later", "-o", "jsonpath={.spec.nodeName}")
	if err := own.Start(); err != nil {
		t.Fatal(err)
	}
	f.untilRunning("later")
	if after := f.started("steady"); after != before {
		t.Errorf("the container was %s and is %s", before, after)
	}
}

// With a mosquitto instead of the embedded broker everything works, and its restart, in which it forgets
// everything, moves and restarts nothing.
func TestMosquittoRestarts(t *testing.T) {
	f := &fleet{T: t, lab: newLab(t)}
	host := f.host("broker")
	config := filepath.Join(f.lab.Dir, "mosquitto.conf")
	if err := os.WriteFile(config, []byte("listener 1883 0.0.0.0\nallow_anonymous true\npersistence false\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto"
	}
	start := func() *lab.Process {
		p, err := f.lab.Start("mosquitto", host, program, "-c", config)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	broker := start()
	f.startMaster(append([]string{"--broker", "tcp://" + host.Address + ":1883"}, quick...)...)
	f.addNode()
	f.addNode()
	f.waitReady(2)
	f.run("steady", "sleep")
	before := f.started("steady")

	if err := broker.Kill(); err != nil {
		t.Fatal(err)
	}
	start()
	f.kubectl("run", "later", "--image="+probe, "--", "sleep")
	f.untilRunning("later")
	f.waitReady(2)
	if after := f.started("steady"); after != before {
		t.Errorf("the container was %s and is %s", before, after)
	}
}
