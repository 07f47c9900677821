package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/skerry-edge/skerry/test/images"
)

const (
	master   = "skerry-master.service"
	agent    = "skerry-agent.service"
	guarding = "skerry-guard.service"
	named    = "skerry.test/named:1" // the probe's image, with a USER who is known by name
)

// TestUnits goes through docs/install.md on a machine that systemd runs. Each part begins where the one before ended.
func TestUnits(t *testing.T) {
	if err := why(); err != nil {
		t.Skip("NOT TESTED: the units under a systemd that runs:", err)
	}
	m := boot(t, absolute(t, "../.."), binaries(t))
	defer func() {
		if t.Failed() {
			for _, unit := range []string{master, agent, guarding, "containerd.service"} {
				out, _ := m.try("", "journalctl", "--no-pager", "--output=short-monotonic", "--lines=60", "--unit="+unit)
				t.Logf("--- journal of %s\n%s", unit, out)
			}
		}
	}()
	parts := []struct {
		name string
		do   func(*machine)
	}{
		{"installing says what to do next", install},
		{"the master starts, shut in", startMaster},
		{"a node joins", startAgent},
		{"a pod with a named user, volumes and a host port runs", runPod},
		{"the guard starts, survives and ends", guardGroup},
		{"containers outlive the agent that stops", stopAgent},
		{"daemons that are killed are started again", killDaemons},
		{"a daemon that hangs is started again", hang},
		{"nothing was refused to either", nothingRefused},
		{"wrong settings are said in one line", wrongSettings},
		{"what was uninstalled is gone, and data are left", uninstall},
	}
	for _, part := range parts {
		ok := t.Run(part.name, func(t *testing.T) { part.do(&machine{T: t, pid: m.pid}) })
		if !ok {
			return
		}
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// binaries is the directory of what `make build` made.
func binaries(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SKERRY_BIN")
	if dir == "" {
		dir = "../../bin"
	}
	for _, name := range []string{"skerry-master", "skerry-agent", "skerry-log", "skerry-guard", "edgectl"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Fatalf("%v: run make build first", err)
		}
	}
	return absolute(t, dir)
}

// script runs build/install as the Makefile does.
func (m *machine) script(args ...string) string {
	m.Helper()
	return m.run(append([]string{"env", "BIN=/mnt/bin", "PREFIX=/usr/local", "SYSCONFDIR=/etc", "UNITDIR=/usr/local/lib/systemd/system", "DESTDIR=",
		"/mnt/source/build/install"}, args...)...)
}

func install(m *machine) {
	if said := m.script(); !strings.Contains(said, "sudo systemctl enable --now skerry-master") {
		m.Errorf("it says %s", said)
	}
	for _, unit := range []string{master, agent, guarding, "skerry-guard.socket"} {
		if state := m.property(unit, "LoadState"); state != "loaded" {
			m.Errorf("%s is %s", unit, state)
		}
	}
}

func startMaster(m *machine) {
	m.run("systemctl", "enable", "--now", master)
	// Type=notify: it works when the command returns.
	if state := m.property(master, "ActiveState"); state != "active" {
		m.Errorf("the master is %s", state)
	}
	m.run("edgectl", "get", "namespaces")
	if mode := m.run("stat", "-c", "%a %U", "/var/lib/skerry/master"); mode != "700 root" {
		m.Errorf("the data directory is %s", mode)
	}
	// systemd leaves out, silently, what a kernel can't do.
	status := m.run("cat", "/proc/"+m.property(master, "MainPID")+"/status")
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000400"} {
		if !strings.Contains(status, want) {
			m.Errorf("%q is missing from\n%s", want, status)
		}
	}
	m.second("skerry-master", "error: another skerry-master uses /var/lib/skerry/master")
	// Its files can be read and written, the machine's can't be.
	for _, file := range []string{"/etc/x", "/var/lib/x", "/usr/x"} {
		if _, err := m.try("", "nsenter", "--mount", "--target", m.property(master, "MainPID"), "touch", file); err == nil {
			m.Errorf("%s can be made where the master is", file)
		}
	}
}

// second starts a daemon by hand beside the one that runs and holds its directory and all its ports.
func (m *machine) second(program, want string) {
	m.Helper()
	if _, err := m.try("", program); err == nil || !strings.Contains(err.Error(), want) {
		m.Errorf("a second %s says %v, want %q", program, err, want)
	}
}

func startAgent(m *machine) {
	m.run("systemctl", "enable", "--now", "containerd.service")
	m.giveImages()
	if said, err := m.try("", "skerry-agent", "doctor"); strings.Contains(said, "FAIL") || err != nil {
		m.Errorf("doctor: %v\n%s", err, said)
	}
	token := m.run("cat", "/var/lib/skerry/master/join-token")
	m.write("/etc/skerry/agent.yaml", "join: "+token+"\n")
	m.run("systemctl", "enable", "--now", agent)
	if said := m.journal(master); strings.Contains(said, token) || !strings.Contains(said, "is in /var/lib/skerry/master/join-token") {
		m.Errorf("the journal has the join token, or no word of where it is:\n%s", said)
	}
	m.untilPrints("True", "edgectl", "get", "node", "machine", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	m.second("skerry-agent", "error: data directory /var/lib/skerry/agent is in use by another skerry-agent")
	if said := m.journal(agent); strings.Contains(said, token) {
		m.Error("the journal has the join token")
	}
}

// giveImages puts the images into the agent's directory.
func (m *machine) giveImages() {
	m.Helper()
	dir := m.TempDir()
	img, err := images.ProbeImage(images.Host())
	if err != nil {
		m.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		m.Fatal(err)
	}
	config := file.Config
	config.User = "app"
	if img, err = mutate.Config(img, config); err != nil {
		m.Fatal(err)
	}
	archive := filepath.Join(dir, "named.tar")
	if err := images.Docker(archive, named, img); err != nil {
		m.Fatal(err)
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		m.Fatal(err)
	}
	m.write("/var/lib/skerry/agent/images/named.tar", string(data))
}

func runPod(m *machine) {
	m.run("edgectl", "create", "configmap", "settings", "--from-literal=colour=blue")
	m.run("edgectl", "create", "secret", "generic", "keys", "--from-literal=token=hush-hush")
	m.input(`
apiVersion: v1
kind: Pod
metadata: {name: all}
spec:
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: keys, secret: {secretName: keys}}
  - {name: memory, emptyDir: {medium: Memory}}
  - {name: disk, emptyDir: {}}
  containers:
  - name: a
    image: `+named+`
    args: [serve, ":8080"]
    ports: [{containerPort: 8080, hostPort: 18080}]
    volumeMounts:
    - {name: settings, mountPath: /settings}
    - {name: keys, mountPath: /keys}
    - {name: memory, mountPath: /memory}
    - {name: disk, mountPath: /disk}
`, "edgectl", "apply", "-f", "-")
	m.untilPrints("Running", "edgectl", "get", "pod", "all", "-o", "jsonpath={.status.phase}")
	for _, check := range []string{"uid 1000", "gid 1000", "file /settings/colour blue", "file /keys/token hush-hush", "file /proc/mounts /memory", "file /proc/mounts /disk"} {
		if _, err := m.try("", append([]string{"edgectl", "exec", "all", "--", "/probe", "check"}, strings.Fields(check)...)...); err != nil {
			m.Error(err)
		}
	}
	m.serves()
}

// serves fails the test if the pod does not answer at the machine's address.
func (m *machine) serves() {
	m.Helper()
	m.until("the pod answers at its host port", func() (bool, string) {
		out, err := m.try("", "bash", "-c", `exec 3<>/dev/tcp/10.99.0.2/18080 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && cat <&3`)
		return strings.Contains(out, "200 OK"), fmt.Sprint(out, err)
	})
}

// container is what must not change where nothing may be restarted.
func (m *machine) container() string {
	m.Helper()
	return m.run("edgectl", "get", "pod", "all", "-o", "jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].state.running.startedAt} {.status.containerStatuses[0].restartCount}") +
		" " + m.run("pgrep", "-f", "^/probe serve")
}

func stopAgent(m *machine) {
	before := m.container()
	m.run("systemctl", "stop", agent)
	m.serves()
	m.run("systemctl", "start", agent)
	m.obeysWith(before)
}

func killDaemons(m *machine) {
	before := m.container()
	for _, unit := range []string{agent, master} {
		m.run("systemctl", "kill", "--signal=SIGKILL", "--kill-whom=main", unit)
	}
	for _, unit := range []string{agent, master} {
		m.untilPrints("1 active", "sh", "-c", "echo $(systemctl show --value --property=NRestarts,ActiveState "+unit+")")
	}
	m.obeysWith(before)
}

// obeysWith waits until the node does what it is told again, with the container that it had.
func (m *machine) obeysWith(before string) {
	m.Helper()
	m.until("the node obeys again", func() (bool, string) {
		out, err := m.try("", "edgectl", "exec", "all", "--", "/probe", "print", "hello")
		return out == "hello\n", fmt.Sprint(out, err)
	})
	if after := m.container(); after != before {
		m.Errorf("the container was %s and is %s", before, after)
	}
}

func hang(m *machine) {
	before := m.container()
	for _, unit := range []string{master, agent} {
		m.write("/etc/systemd/system/"+unit+".d/soon.conf", "[Service]\nWatchdogSec=3\nRestartSec=100ms\n")
		m.run("systemctl", "daemon-reload")
		m.run("systemctl", "restart", unit)
		pid := m.property(unit, "MainPID")
		m.run("systemctl", "kill", "--signal=SIGSTOP", "--kill-whom=main", unit)
		m.until("another process does its work", func() (bool, string) {
			state := m.property(unit, "ActiveState")
			now := m.property(unit, "MainPID")
			return state == "active" && now != pid && now != "0", state + " " + now
		})
		if said := m.journal(unit); !strings.Contains(said, "Watchdog timeout") {
			m.Errorf("the journal of %s has no word of the watchdog:\n%s", unit, said)
		}
	}
	m.obeysWith(before)
}

// refusals are what the kernel says where a unit forbids what its program needs.
var refusals = regexp.MustCompile(`(?i)permission denied|operation not permitted|read-only file system`)

func nothingRefused(m *machine) {
	m.run("grep", "-q", "skerry-admin", "/var/lib/skerry/master/audit.log")
	for _, unit := range []string{master, agent, guarding} {
		if line := refusals.FindString(m.journal(unit)); line != "" {
			m.Errorf("the journal of %s has: %s", unit, line)
		}
	}
}

func wrongSettings(m *machine) {
	for unit, c := range map[string]struct{ file, state string }{
		master: {"/etc/skerry/master.yaml", "activating"}, // it goes on trying
		agent:  {"/etc/skerry/agent.yaml", "failed"},      // it waits for a person
	} {
		right := m.run("cat", c.file)
		m.write(c.file, right+"\nnode-timeuot: 5s\n")
		_, _ = m.try("", "systemctl", "restart", unit) // it says that the unit failed, or not yet
		m.until(unit+" is "+c.state, func() (bool, string) {
			state := m.property(unit, "ActiveState")
			return state == c.state, state
		})
		want := regexp.MustCompile(`(?m)^error: ` + c.file + `:\d+: unknown key "node-timeuot"`)
		m.until("the journal says what is wrong", func() (bool, string) {
			said := m.journal(unit)
			return want.MatchString(said), said
		})
		m.write(c.file, right+"\n")
		m.run("systemctl", "reset-failed", unit)
		m.run("systemctl", "restart", unit)
	}
}

func uninstall(m *machine) {
	m.script("uninstall")
	for _, unit := range []string{master, agent, guarding, "skerry-guard.socket"} {
		if state := m.property(unit, "LoadState"); state != "not-found" {
			m.Errorf("%s is %s", unit, state)
		}
	}
	for _, program := range []string{"skerry-master", "skerry-agent"} {
		if pid, err := m.try("", "pgrep", "-x", program); err == nil {
			m.Errorf("%s runs: %s", program, pid)
		}
	}
	m.run("pgrep", "-f", "^/probe serve")
	m.run("test", "-s", "/var/lib/skerry/master/admin.kubeconfig")
	m.run("test", "-d", "/var/lib/skerry/agent")
	m.run("grep", "join", "/etc/skerry/agent.yaml") // it was changed
}
