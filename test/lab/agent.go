package lab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Agent is a skerry-agent of the lab, a node, with a skerry-guard beside it.
type Agent struct {
	*Process
	Host      *Host
	DataDir   string
	Namespace string   // containerd's
	Guard     *Process // nil with --guard or --engine among the flags

	lab  *Lab
	args []string
}

// StartAgent starts an agent on a host, as the node of the host's name unless args say otherwise; without a token when
// its data directory belongs to a node already. A guard of its own is started first, unless args name another one, or
// an engine that needs none.
func (l *Lab) StartAgent(host *Host, token string, args ...string) (*Agent, error) {
	a := &Agent{Host: host, DataDir: filepath.Join(l.Dir, host.Name), Namespace: l.prefix + host.Name, lab: l}
	a.args = append([]string{"--data-dir", a.DataDir}, args...)
	if !slices.Contains(args, "--engine") {
		a.args = append(a.args, "--containerd", l.Containerd, "--containerd-namespace", a.Namespace)
	}
	if !slices.Contains(args, "--node-name") {
		a.args = append(a.args, "--node-name", host.Name)
	}
	if token != "" {
		a.args = append(a.args, "--join", token)
	}
	if !slices.Contains(args, "--guard") && !slices.Contains(args, "--engine") {
		a.args = append(a.args, "--guard", a.guardSocket())
		if err := a.StartGuard(); err != nil {
			return nil, err
		}
	}
	return a, a.Start()
}

// Start starts the agent again, with the same data directory and flags.
func (a *Agent) Start() (err error) {
	a.Process, err = a.lab.Start(a.Host.Name, a.Host, filepath.Join(a.lab.Bin, "skerry-agent"), a.args...)
	return err
}

// guardDir is where the guard has its socket and its state. A reboot would take it away.
func (a *Agent) guardDir() string { return filepath.Join(a.lab.Dir, a.Host.Name+".guard") }

func (a *Agent) guardSocket() string { return filepath.Join(a.guardDir(), "sock") }

// StartGuard starts the node's guard, also again after it was killed; one that runs, for an agent before this one on the
// host, goes on. It leaves the machine's watchdog alone: the other nodes are on the same board.
func (a *Agent) StartGuard() (err error) {
	if a.Guard = a.lab.guards[a.Host.Name]; a.Guard != nil && a.Guard.Running() {
		return nil
	}
	a.Guard, err = a.lab.Start(a.Host.Name+"-guard", a.Host, filepath.Join(a.lab.Bin, "skerry-guard"),
		"--socket", a.guardSocket(), "--state-dir", a.guardDir(), "--watchdog", "")
	a.lab.guards[a.Host.Name] = a.Guard
	return err
}

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
