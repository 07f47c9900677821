package arm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-edge/skerry/test/hostenv"
	"github.com/skerry-edge/skerry/test/lab"
)

// patience is how long a condition may take: emulation on a busy machine is slow.
const patience = 3 * time.Minute

// fleet is a master, with nodes to be added.
type fleet struct {
	*testing.T
	lab    *lab.Lab
	master *lab.Master
	token  string
}

// newFleet starts a master of this machine's architecture.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	bin := os.Getenv("SKERRY_BIN")
	if bin == "" {
		bin = "../../bin"
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "arm-") // short, for the socket's sake
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	containerd, err := hostenv.New(filepath.Join(dir, "containerd"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := containerd.Close(); err != nil {
			t.Errorf("close containerd: %v", err)
		}
	})
	f := &fleet{T: t}
	if f.lab, err = lab.New(lab.Config{Bin: bin, Dir: filepath.Join(dir, "lab"), Containerd: containerd.Socket}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			f.showLogs()
		}
		if err := f.lab.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	host, err := f.lab.AddHost("master")
	if err != nil {
		t.Fatal(err)
	}
	// An emulated agent may miss a beat on a busy machine.
	if f.master, err = f.lab.StartMaster(host, "--heartbeat-interval=1s", "--node-timeout=60s"); err != nil {
		t.Fatal(err)
	}
	if f.token, err = f.master.JoinToken(patience); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fleet) showLogs() {
	logs, _ := filepath.Glob(filepath.Join(f.lab.Dir, "log", "*.log"))
	for _, file := range logs {
		data, _ := os.ReadFile(file)
		f.Logf("--- %s\n%s", filepath.Base(file), data[max(0, len(data)-6000):])
	}
}

// addNode starts an agent whose images lie in archives (none: ""), and waits until it is Ready.
func (f *fleet) addNode(name, archives string) *lab.Agent {
	f.Helper()
	host, err := f.lab.AddHost(name)
	if err != nil {
		f.Fatal(err)
	}
	if archives != "" {
		dir := filepath.Join(f.lab.Dir, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			f.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(dir, "images"), os.DirFS(archives)); err != nil {
			f.Fatal(err)
		}
	}
	agent, err := f.lab.StartAgent(host, f.token)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = agent.EndContainers() })
	f.untilPrints("True", "get", "node", name, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	return agent
}

// kubectl runs edgectl and fails the test if it fails.
func (f *fleet) kubectl(args ...string) string {
	f.Helper()
	out, err := f.master.Kubectl(args...)
	if err != nil {
		f.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (f *fleet) apply(manifest string) {
	f.Helper()
	if _, err := f.master.KubectlInput(manifest, "apply", "-f", "-"); err != nil {
		f.Fatal(err)
	}
}

// untilPrints waits until edgectl prints exactly this.
func (f *fleet) untilPrints(want string, args ...string) {
	f.Helper()
	_, err := lab.Until(fmt.Sprintf("edgectl %s prints %q", strings.Join(args, " "), want), patience, func() (bool, string) {
		out, err := f.master.Kubectl(args...)
		if err != nil {
			return false, err.Error()
		}
		return strings.TrimSpace(out) == want, out
	})
	if err != nil {
		f.Fatal(err)
	}
}

// buildFor compiles what a node needs for a board into a directory that ends with the test.
func buildFor(t *testing.T, b board) string {
	t.Helper()
	dir := t.TempDir()
	for name, place := range map[string]string{"skerry-agent": "edgeagent", "skerry-log": "edgeagent/logs/writer", "skerry-guard": "edgeagent/guard/keeper"} {
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, name), "github.com/skerry-edge/skerry/"+place)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.platform.Architecture,
			"GOARM="+strings.TrimPrefix(b.platform.Variant, "v"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s for %s: %v\n%s", name, b.platform, err, out)
		}
	}
	return dir
}
