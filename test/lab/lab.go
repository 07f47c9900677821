package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	guards     map[string]*Process // by host
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
		guards:  map[string]*Process{},
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
