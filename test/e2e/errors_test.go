package e2e

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a user gets wrong on the command line or on the machine is answered with one line that says what is
// wrong, and with the exit codes of the design: 2 for flags and configuration, 1 for the rest.
func TestErrorsAtTheStart(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	master := func(args ...string) []string { // a flag may be given only once
		command := []string{"skerry-master", "--data-dir", filepath.Join(dir, "master"), "--mqtt-listen=127.0.0.1:0", "--metrics-listen="}
		if !strings.Contains(strings.Join(args, " "), "--api-listen") {
			command = append(command, "--api-listen=127.0.0.1:0")
		}
		return append(command, args...)
	}
	agent := func(args ...string) []string {
		return append([]string{"skerry-agent", "--data-dir", filepath.Join(dir, "agent"), "--metrics-listen="}, args...)
	}
	for _, c := range []struct {
		name    string
		command []string
		code    int
		says    []string // all of these
	}{
		{"unknown flag", master("--bogus"), 2, []string{"bogus"}},
		{"bad duration", master("--node-timeout=soon"), 2, []string{"node-timeout", "soon"}},
		{"timeout below the interval", master("--heartbeat-interval=10s", "--node-timeout=5s"), 2, []string{"node-timeout", "heartbeat-interval"}},
		{"addresses of pods that are somebody else's", master("--pod-cidr=8.8.0.0/16"), 2, []string{"pod-cidr", "8.8.0.0/16", "private"}},
		{"the master's address among those of pods", master("--pod-cidr=10.0.0.0/8", "--advertise=10.1.2.3"), 2, []string{"pod-cidr", "10.1.2.3", "advertise"}},
		{"bad address", master("--api-listen=nowhere"), 2, []string{"api-listen", "nowhere"}},
		{"broker of an unknown kind", master("--broker=ftp://x"), 2, []string{"broker", "ftp"}},
		{"broken YAML", master("--config", file("broken.yaml", "api-listen: [")), 2, []string{"broken.yaml"}},
		{"unknown key in YAML", master("--config", file("unknown.yaml", "api-lisen: x")), 2, []string{"unknown.yaml", "api-lisen"}},
		{"no such file", master("--config", filepath.Join(dir, "none.yaml")), 2, []string{"none.yaml"}},
		{"an argument that is no flag", master("start"), 2, []string{"start"}},
		{"port in use", master("--api-listen=" + taken.Addr().String()), 1, []string{taken.Addr().String(), "in use"}},
		{"data directory is a file", []string{"skerry-master", "--data-dir", file("plain", "")}, 1, []string{"plain"}},
		{"agent without a token", agent(), 2, []string{"--join"}},
		{"agent with half a token", agent("--join=sk1.abc"), 2, []string{"join"}},
		{"agent with a token file that isn't there", agent("--join=@" + filepath.Join(dir, "none")), 2, []string{"none"}},
		{"agent with a bad name", agent("--node-name=No_Name"), 2, []string{"node-name", "No_Name"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, said := runToEnd(t, c.command...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if lines := strings.Split(strings.TrimSpace(said), "\n"); len(lines) != 1 {
				t.Errorf("%d lines, want one", len(lines))
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("it doesn't mention %q", want)
				}
			}
			if t.Failed() {
				t.Logf("it said: %s", said)
			}
		})
	}
}

// runToEnd runs a binary that is to end by itself and returns its exit code and all that it printed.
func runToEnd(t *testing.T, command ...string) (int, string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(filepath.Join(binaries, command[0]), command[1:]...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait() // the exit code says it
	return cmd.ProcessState.ExitCode(), said.String()
}

// A second master on the same directory says so and leaves the first alone.
func TestSecondMasterOnTheSameDirectory(t *testing.T) {
	f := newFleet(t, 0)
	code, said := runToEnd(t, "skerry-master", "--data-dir", f.master.DataDir, "--api-listen=127.0.0.1:0", "--mqtt-listen=127.0.0.1:0", "--metrics-listen=")
	if code != 1 || !strings.Contains(said, f.master.DataDir) || strings.Count(strings.TrimSpace(said), "\n") != 0 {
		t.Errorf("code %d: %s", code, said)
	}
	f.kubectl("get", "namespaces")
}

// A token whose secret is wrong is refused by the broker, and the agent says so.
func TestWrongToken(t *testing.T) {
	one, other := newFleet(t, 0), newFleet(t, 0)
	// The other cluster's token names the other cluster's broker, so one's agent has to be pointed to one's.
	host := one.host("stranger")
	agent, err := one.lab.StartAgent(host, other.token, "--broker", "mqtts://"+one.master.Host.Address+":8883")
	if err != nil {
		t.Fatal(err)
	}
	one.until("the agent says that it is not let in", func() (bool, string) {
		log := agent.Log()
		return strings.Contains(log, "certificate") || strings.Contains(log, "token"), log
	})
	if out := one.kubectl("get", "nodes", "-o", "name"); out != "" {
		t.Errorf("the stranger became %s", out)
	}
}

// Without containerd the agent says what is missing, stays, and is at work once containerd is there.
func TestNoContainerd(t *testing.T) {
	f := &fleet{T: t, lab: newLab(t)}
	f.startMaster(quick...)
	real := f.lab.Containerd
	f.lab.Containerd = filepath.Join(f.lab.Dir, "later.sock")
	agent := f.addNode()
	f.until("the agent names the socket", func() (bool, string) {
		return strings.Contains(agent.Log(), f.lab.Containerd), agent.Log()
	})
	if !agent.Running() {
		t.Fatalf("the agent ended: %s", agent.Log())
	}
	if err := os.Symlink(real, f.lab.Containerd); err != nil {
		t.Fatal(err)
	}
	f.waitReady(1)
	f.run("finally", "sleep")
}

// What can't be run says why, in the pod's status and in an event.
func TestPodsThatCannotRun(t *testing.T) {
	f := newFleet(t, 1)
	for _, c := range []struct {
		name, image, reason string
		says                string // in the waiting message
	}{
		{"missing", "localhost:1/no/such:image", "ErrImagePull", "localhost:1/no/such:image"},
		{"misnamed", "Not An Image", "InvalidImageName", "Not An Image"},
	} {
		f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: ` + c.name + `}, spec: {containers: [{name: a, image: "` + c.image + `"}]}}`)
		f.until(c.name+" says "+c.reason, func() (bool, string) {
			out, err := f.master.Kubectl("get", "pod", c.name, "-o", "jsonpath={.status.containerStatuses[0].state.waiting}")
			return (strings.Contains(out, c.reason) || strings.Contains(out, "ImagePullBackOff")) && strings.Contains(out, c.says), seen(out, err)
		})
	}
	f.until("the event for a pull that failed", func() (bool, string) {
		out, err := f.master.Kubectl("get", "events", "-o", `jsonpath={range .items[?(@.involvedObject.name=="missing")]}{.reason}: {.message}{"\n"}{end}`)
		return strings.Contains(out, "Failed"), seen(out, err)
	})
}

// A manifest with a field that Skerry does not act upon is refused by the field's path; one with a field that
// doesn't exist, by its name.
func TestManifestsThatAreRefused(t *testing.T) {
	f := newFleet(t, 0)
	for _, c := range []struct{ name, manifest, says string }{
		{"unsupported field", `{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: a, image: b}], volumes: [{name: v, csi: {driver: d}}]}}`,
			"spec.volumes[0]"},
		{"unsupported field in a template", strings.Replace(deployment("x", 1), "terminationGracePeriodSeconds: 1", "hostPID: true", 1),
			"spec.template.spec.hostPID"},
		{"unknown field", `{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: a, image: b, imagee: c}]}}`,
			`unknown field "spec.containers[0].imagee"`},
		{"no image", `{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: a}]}}`,
			"spec.containers[0].image: Required value"},
		{"unknown kind", `{apiVersion: batch/v1, kind: Job, metadata: {name: x}}`, `no matches for kind "Job"`},
		{"unknown kind of a group that is served", `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x}}`, `no matches for kind "StatefulSet"`},
		{"no such namespace", `{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: nowhere}, spec: {containers: [{name: a, image: b}]}}`,
			`namespaces "nowhere" not found`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if said := f.refused(c.manifest, "apply", "-f", "-"); !strings.Contains(said, c.says) {
				t.Errorf("it said: %s\nwant in it: %s", said, c.says)
			}
		})
	}
	if out := f.kubectl("get", "pods,deployments", "-o", "name"); out != "" {
		t.Errorf("something was made all the same: %s", out)
	}
}

// A pod that fits nowhere says so in kubectl's words.
func TestPodThatFitsNowhere(t *testing.T) {
	f := newFleet(t, 2)
	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: huge}, spec: {containers: [{name: a, image: "` + probe + `", resources: {requests: {memory: 900Gi}}}]}}`)
	const want = "0/2 nodes are available: 2 Insufficient memory"
	f.until("the event "+want, func() (bool, string) {
		out, err := f.master.Kubectl("get", "events", "-o", `jsonpath={range .items[?(@.reason=="FailedScheduling")]}{.message}{end}`)
		return strings.Contains(out, want), seen(out, err)
	})
	if out := f.kubectl("describe", "pod", "huge"); !strings.Contains(out, want) {
		t.Errorf("describe doesn't say it:\n%s", out)
	}
}

// edgectl without a kubeconfig, or with one that it may not read, says what to do.
func TestEdgectlWithoutKubeconfig(t *testing.T) {
	for _, dataDir := range []string{filepath.Join(t.TempDir(), "none")} {
		cmd := exec.Command(filepath.Join(binaries, "edgectl"), "get", "pods")
		cmd.Env = []string{"HOME=" + t.TempDir(), "SKERRY_DATA_DIR=" + dataDir}
		out, err := cmd.CombinedOutput()
		if err == nil || strings.Count(strings.TrimSpace(string(out)), "\n") != 0 || !strings.Contains(string(out), "kubeconfig") {
			t.Errorf("it said (%v): %s", err, out)
		}
	}
}
