package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Config says what a lab is made of.
type Config struct {
	// Bin is the directory of the binaries that `make build` made.
	Bin string
	// Dir is an empty directory for everything that the lab writes; Close leaves it to its owner.
	Dir string
	// Containerd is the socket of a containerd that runs; the lab doesn't start or stop one itself.
	Containerd string
}

// Lab is a fleet on one machine. It is used by one goroutine.
type Lab struct {
	Config

	prefix     string // of everything named machine-wide
	switchNS   string
	namespaces []string
	hosts      map[string]*Host
	processes  []*Process
	starter    *starter
}

// labs counts the labs of this process, whose names must differ.
var labs atomic.Int64

// New makes the network and nothing else.
func New(config Config) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces and containerd need root: run it with sudo")
	}
	for _, program := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s is not installed: apt-get install iproute2 util-linux", program)
		}
	}
	l := &Lab{
		Config:  config,
		prefix:  fmt.Sprintf("sk%d-%d-", os.Getpid(), labs.Add(1)),
		hosts:   map[string]*Host{},
		starter: newStarter(),
	}
	if err := l.makeSwitch(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close ends every process and removes every namespace.
func (l *Lab) Close() error {
	var failed []error
	for i := len(l.processes) - 1; i >= 0; i-- {
		p := l.processes[i]
		if !p.Running() {
			continue
		}
		if _, err := p.Stop(); err != nil {
			failed = append(failed, err, p.Kill())
		}
	}
	l.processes = nil
	failed = append(failed, l.removeNetwork(), unmountBelow(l.Dir))
	l.removeGroups()
	l.starter.close()
	return errors.Join(failed...)
}

// Master is a skerry-master of the lab.
type Master struct {
	*Process
	Host    *Host
	DataDir string

	lab  *Lab
	args []string
}

// StartMaster starts a master on a host; args are added to the flags that the lab needs.
func (l *Lab) StartMaster(host *Host, args ...string) (*Master, error) {
	m := &Master{Host: host, DataDir: filepath.Join(l.Dir, host.Name), lab: l}
	m.args = append([]string{"--data-dir", m.DataDir, "--advertise", host.Address}, args...)
	return m, m.Start()
}

// Start starts the master again, with the same data directory and flags.
func (m *Master) Start() (err error) {
	m.Process, err = m.lab.Start(m.Host.Name, m.Host, filepath.Join(m.lab.Bin, "skerry-master"), m.args...)
	return err
}

// Kubectl runs edgectl as the cluster's admin, on the master's host, and returns what it printed to standard
// output. The error has what it printed to standard error.
func (m *Master) Kubectl(args ...string) (string, error) { return m.KubectlInput("", args...) }

// KubectlInput is Kubectl with a text for its standard input.
func (m *Master) KubectlInput(input string, args ...string) (string, error) {
	cmd := m.KubectlCommand(args...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("edgectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// KubectlCommand is an edgectl that has not been started.
func (m *Master) KubectlCommand(args ...string) *exec.Cmd {
	return m.ClientCommand(filepath.Join(m.lab.Bin, "edgectl"), args...)
}

// ClientCommand is any kubectl that has not been started, as the cluster's admin, on the master's host.
func (m *Master) ClientCommand(client string, args ...string) *exec.Cmd {
	all := []string{
		"--net=/run/netns/" + m.Host.namespace, client,
		"--kubeconfig", filepath.Join(m.DataDir, "admin.kubeconfig"),
	}
	cmd := exec.Command("nsenter", append(all, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+m.lab.Dir)
	return cmd
}

// JoinToken waits for the token that a new master prints and returns it.
func (m *Master) JoinToken(limit time.Duration) (string, error) {
	var token string
	_, err := Until("the master prints a join token", limit, func() (bool, string) {
		if !m.Running() {
			return true, ""
		}
		for _, word := range strings.FieldsFunc(m.Log(), func(r rune) bool { return strings.ContainsRune(" \t\n\"'\\", r) }) {
			if strings.HasPrefix(word, "sk1.") {
				token = word
			}
		}
		return token != "", "no word beginning with sk1. in its output"
	})
	if err == nil && token == "" {
		err = fmt.Errorf("the master ended with code %d: %s", m.ExitCode(), m.Log())
	}
	return token, err
}

// Agent is a skerry-agent of the lab, a node.
type Agent struct {
	*Process
	Host      *Host
	DataDir   string
	Namespace string // containerd's

	lab  *Lab
	args []string
}

// StartAgent starts an agent on a host, as the node of the host's name unless args say otherwise; without a token when
// its data directory belongs to a node already.
func (l *Lab) StartAgent(host *Host, token string, args ...string) (*Agent, error) {
	a := &Agent{Host: host, DataDir: filepath.Join(l.Dir, host.Name), Namespace: l.prefix + host.Name, lab: l}
	a.args = append([]string{
		"--data-dir", a.DataDir, "--containerd", l.Containerd, "--containerd-namespace", a.Namespace,
	}, args...)
	if !slices.Contains(args, "--node-name") {
		a.args = append(a.args, "--node-name", host.Name)
	}
	if token != "" {
		a.args = append(a.args, "--join", token)
	}
	return a, a.Start()
}

// Start starts the agent again, with the same data directory and flags.
func (a *Agent) Start() (err error) {
	a.Process, err = a.lab.Start(a.Host.Name, a.Host, filepath.Join(a.lab.Bin, "skerry-agent"), a.args...)
	return err
}

// Freeze stops the process without ending it, and Thaw lets it go on.
func (p *Process) Freeze() error { return p.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw() error { return p.Signal(syscall.SIGCONT) }

// Tasks are the containers of this node that have a process, whatever the cluster thinks of them: their ids.
func (a *Agent) Tasks() ([]string, error) {
	out, err := exec.Command("ctr", "--address", a.lab.Containerd, "--namespace", a.Namespace, "tasks", "list").Output()
	if err != nil {
		return nil, fmt.Errorf("list the tasks of %s: %w", a.Host.Name, err)
	}
	var running []string
	for line := range strings.Lines(string(out)) { // TASK PID STATUS
		if fields := strings.Fields(line); len(fields) == 3 && fields[2] == "RUNNING" {
			running = append(running, fields[0])
		}
	}
	return running, nil
}

// EndContainers kills every process of this node's containers, as a power cut would.
func (a *Agent) EndContainers() error {
	ids, err := a.Tasks()
	if err != nil {
		return err
	}
	for _, id := range ids {
		out, err := exec.Command("ctr", "--address", a.lab.Containerd, "--namespace", a.Namespace,
			"tasks", "kill", "--signal", "SIGKILL", "--all", id).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "not found") {
			return fmt.Errorf("kill task %s of %s: %w: %s", id, a.Host.Name, err, out)
		}
	}
	return nil
}
