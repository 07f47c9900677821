package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/skerry-edge/skerry/test/hostenv"
	"github.com/skerry-edge/skerry/test/images"
	"github.com/skerry-edge/skerry/test/lab"
)

// patience is how long a condition may take on a busy machine. It is no expectation of speed.
const patience = 60 * time.Second

// quick are intervals that make the loss of a node a matter of seconds.
var quick = []string{"--heartbeat-interval=1s", "--node-timeout=3s", "--suspect-timeout=2s"}

// Of the whole run, made once by TestMain.
var (
	binaries   string
	containerd *hostenv.Containerd
	archives   string // directory of image archives
)

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "skerry-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir); err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests can't run:", err)
		return 1
	}
	defer containerd.Close()
	if err := letSeveralWait(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// letSeveralWait runs more of the parallel tests at a time than there are processors, for they wait for time-outs most
// of the time; -parallel says it otherwise.
func letSeveralWait() error {
	const atOnce = 5
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", fmt.Sprint(atOnce))
}

func prepare(dir string) (err error) {
	binaries = os.Getenv("SKERRY_BIN")
	if binaries == "" {
		binaries = filepath.Join("..", "..", "bin")
	}
	if binaries, err = filepath.Abs(binaries); err != nil {
		return err
	}
	for _, name := range []string{"skerry-master", "skerry-agent", "skerry-log", "skerry-guard", "edgectl"} {
		if _, err := os.Stat(filepath.Join(binaries, name)); err != nil {
			return fmt.Errorf("%w: run make build first", err)
		}
	}
	archives = filepath.Join(dir, "images")
	if _, err := images.WriteAll(archives, []v1.Platform{images.Host()}); err != nil {
		return err
	}
	containerd, err = hostenv.New(filepath.Join(dir, "containerd"))
	return err
}

// fleet is a master and some nodes that are Ready.
type fleet struct {
	*testing.T
	lab    *lab.Lab
	master *lab.Master
	token  string
	nodes  []*lab.Agent
}

// newLab is an empty lab that ends with the test; when the test fails, the ends of all logs are shown.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(lab.Config{Bin: binaries, Dir: dir, Containerd: containerd.Socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			showLogs(t, dir)
		}
		if err := l.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the lab's directory: %v", err)
		}
	})
	return l
}

func showLogs(t *testing.T, dir string) {
	logs, _ := filepath.Glob(filepath.Join(dir, "log", "*.log"))
	for _, file := range logs {
		data, _ := os.ReadFile(file)
		if len(data) > 6000 {
			data = data[len(data)-6000:]
		}
		t.Logf("--- %s\n%s", filepath.Base(file), data)
	}
}

// newFleet starts a master and count nodes, and waits until they are Ready. args are flags of the master.
func newFleet(t *testing.T, count int, args ...string) *fleet {
	t.Helper()
	f := &fleet{T: t, lab: newLab(t)}
	f.startMaster(args...)
	for range count {
		f.addNode()
	}
	f.waitReady(count)
	return f
}

func (f *fleet) startMaster(args ...string) {
	f.Helper()
	host := f.host("master")
	var err error
	if f.master, err = f.lab.StartMaster(host, args...); err != nil {
		f.Fatal(err)
	}
	if f.token, err = f.master.JoinToken(patience); err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) host(name string) *lab.Host {
	f.Helper()
	host, err := f.lab.AddHost(name)
	if err != nil {
		f.Fatal(err)
	}
	return host
}

// addNode starts one more agent; its images lie in its images/ directory.
func (f *fleet) addNode(args ...string) *lab.Agent {
	f.Helper()
	name := fmt.Sprintf("node-%d", len(f.nodes)+1)
	host := f.host(name)
	f.giveImages(name)
	agent, err := f.lab.StartAgent(host, f.token, args...)
	if err != nil {
		f.Fatal(err)
	}
	f.nodes = append(f.nodes, agent)
	f.Cleanup(func() { endContainers(agent) })
	return agent
}

func (f *fleet) giveImages(node string) {
	f.Helper()
	dir := filepath.Join(f.lab.Dir, node)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "images"), os.DirFS(archives)); err != nil {
		f.Fatal(err)
	}
}

// node is the agent of that name.
func (f *fleet) node(name string) *lab.Agent {
	f.Helper()
	for _, n := range f.nodes {
		if n.Host.Name == name {
			return n
		}
	}
	f.Fatalf("there is no node %q", name)
	return nil
}

func (f *fleet) waitReady(count int) {
	f.Helper()
	f.until(fmt.Sprintf("%d nodes are Ready", count), func() (bool, string) {
		out, err := f.master.Kubectl("get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`)
		return strings.Count(out, "=True") == count, seen(out, err)
	})
}

// kubectl runs edgectl and fails the test if it fails.
func (f *fleet) kubectl(args ...string) string {
	f.Helper()
	out, err := f.master.Kubectl(args...)
	if err != nil {
		f.Fatal(err)
	}
	return out
}

// apply applies a manifest.
func (f *fleet) apply(manifest string) string {
	f.Helper()
	out, err := f.master.KubectlInput(manifest, "apply", "-f", "-")
	if err != nil {
		f.Fatal(err)
	}
	return out
}

// refused runs edgectl, which must fail, and returns what it said.
func (f *fleet) refused(input string, args ...string) string {
	f.Helper()
	out, err := f.master.KubectlInput(input, args...)
	if err == nil {
		f.Fatalf("edgectl %s went through: %s", strings.Join(args, " "), out)
	}
	return err.Error()
}

// until waits for a condition and fails the test when it doesn't come.
func (f *fleet) until(what string, check func() (ok bool, seen string)) time.Duration {
	f.Helper()
	took, err := lab.Until(what, patience, check)
	if err != nil {
		f.Fatal(err)
	}
	return took
}

// untilPrints waits until edgectl prints exactly this.
func (f *fleet) untilPrints(want string, args ...string) time.Duration {
	f.Helper()
	return f.until(fmt.Sprintf("edgectl %s prints %q", strings.Join(args, " "), want), func() (bool, string) {
		out, err := f.master.Kubectl(args...)
		return err == nil && strings.TrimSpace(out) == want, seen(out, err)
	})
}

// run starts a bare pod of the probe image and waits until it runs; it returns the name of its node.
func (f *fleet) run(name string, args ...string) string {
	f.Helper()
	f.kubectl(append([]string{"run", name, "--image=" + probe, "--"}, args...)...)
	f.untilRunning(name)
	return f.field("pod", name, ".spec.nodeName")
}

func (f *fleet) untilRunning(pod string) time.Duration {
	f.Helper()
	return f.untilPrints("Running", "get", "pod", pod, "-o", "jsonpath={.status.phase}")
}

// field reads one field of an object.
func (f *fleet) field(kind, name, path string) string {
	f.Helper()
	return f.kubectl("get", kind, name, "-o", "jsonpath={"+path+"}")
}

// started is when a pod's container was started and how often it was restarted: what must not change where
// nothing may be restarted.
func (f *fleet) started(pod string) string {
	f.Helper()
	return f.field("pod", pod, ".metadata.uid}/{.status.containerStatuses[0].containerID}/{.status.containerStatuses[0].state.running.startedAt}/{.status.containerStatuses[0].restartCount")
}

// probe is the image of most tests, see test/images.
const probe = "skerry.test/probe:1"

// endContainers ends what an agent's containerd namespace runs, so that no test leaves load behind.
func endContainers(agent *lab.Agent) { _ = agent.EndContainers() }

func seen(out string, err error) string {
	if err != nil {
		return err.Error()
	}
	return out
}
