package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// subnet is the lab's network, without the last number. It exists only between the lab's own namespaces.
const subnet = "10.77.0."

// Host is one machine of the lab: a network namespace with one address.
type Host struct {
	Name    string
	Address string

	lab       *Lab
	namespace string // name under /run/netns
	port      string // the host's interface on the switch, in the switch's namespace
}

// makeSwitch makes the namespace with the bridge that all hosts hang on.
func (l *Lab) makeSwitch() error {
	l.switchNS = l.prefix + "switch"
	if err := l.addNamespace(l.switchNS); err != nil {
		return err
	}
	return l.ip([]string{
		"-n " + l.switchNS + " link add br0 type bridge",
		"-n " + l.switchNS + " link set br0 up",
	})
}

// AddHost makes a host, connected.
func (l *Lab) AddHost(name string) (*Host, error) {
	if h := l.hosts[name]; h != nil {
		return nil, fmt.Errorf("lab: host %s exists", name)
	}
	number := len(l.hosts) + 1
	h := &Host{
		Name:      name,
		Address:   fmt.Sprintf("%s%d", subnet, number+1),
		lab:       l,
		namespace: l.prefix + name,
		port:      fmt.Sprintf("port%d", number),
	}
	if err := l.addNamespace(h.namespace); err != nil {
		return nil, err
	}
	l.hosts[name] = h
	return h, l.ip([]string{
		"-n " + l.switchNS + " link add " + h.port + " type veth peer name eth0 netns " + h.namespace,
		"-n " + l.switchNS + " link set " + h.port + " master br0 up",
		"-n " + h.namespace + " addr add " + h.Address + "/24 dev eth0",
		"-n " + h.namespace + " link set eth0 up",
		"-n " + h.namespace + " link set lo up",
	})
}

// Cut takes the host off the network without warning: its packets vanish, in both directions, and neither
// side is told, as when a cable is cut behind a switch.
func (h *Host) Cut() error {
	return h.lab.ip([]string{"-n " + h.lab.switchNS + " link set " + h.port + " nomaster"})
}

// Command is a program in the host's network that has not been started.
func (h *Host) Command(program string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=/run/netns/" + h.namespace, program}, args...)...)
}

// Heal puts the host back.
func (h *Host) Heal() error {
	return h.lab.ip([]string{"-n " + h.lab.switchNS + " link set " + h.port + " master br0"})
}

func (l *Lab) addNamespace(name string) error {
	if err := l.ip([]string{"netns add " + name}); err != nil {
		return err
	}
	l.namespaces = append(l.namespaces, name)
	return nil
}

// removeNetwork deletes the namespaces; the interfaces in them go with them.
func (l *Lab) removeNetwork() error {
	var failed []string
	for _, name := range l.namespaces {
		if err := l.ip([]string{"netns del " + name}); err != nil {
			failed = append(failed, err.Error())
		}
	}
	l.namespaces = nil
	for _, h := range l.hosts {
		if err := removeVolatile(filepath.Join(l.Dir, h.Name)); err != nil {
			failed = append(failed, err.Error())
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("remove network namespaces: %s", strings.Join(failed, "; "))
	}
	return nil
}

// removeVolatile removes what an agent keeps until the machine is shut down, which is here when the lab ends.
func removeVolatile(dataDir string) error {
	sum := sha256.Sum256([]byte(dataDir))
	dir := filepath.Join("/run", "skerry-"+hex.EncodeToString(sum[:4]))
	pins, err := filepath.Glob(filepath.Join(dir, "netns", "*"))
	if err != nil {
		return err
	}
	for _, pin := range pins {
		if err := syscall.Unmount(pin, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("unmount %s: %w", pin, err)
		}
	}
	return os.RemoveAll(dir)
}

// LoseVolatile takes away what a reboot would, after the agent and its containers have ended: what the agent keeps until
// then, the links it has made, and its rules.
func (a *Agent) LoseVolatile() error {
	if err := removeVolatile(a.DataDir); err != nil {
		return err
	}
	for _, kind := range []string{"bridge", "veth"} {
		out, err := a.Host.Command("ip", "-o", "link", "show", "type", kind).Output()
		if err != nil {
			return fmt.Errorf("list the links of %s: %w", a.Host.Name, err)
		}
		for line := range strings.Lines(string(out)) { // 3: name@if2: <flags> …
			name, _, _ := strings.Cut(strings.Fields(line)[1], "@")
			name = strings.TrimSuffix(name, ":")
			if name == "eth0" { // the one way out, made by AddHost
				continue
			}
			if said, err := a.Host.Command("ip", "link", "delete", name).CombinedOutput(); err != nil && !strings.Contains(string(said), "Cannot find device") {
				return fmt.Errorf("delete %s of %s: %w: %s", name, a.Host.Name, err, said)
			}
		}
	}
	if said, err := a.Host.Command("iptables", "-t", "nat", "-F").CombinedOutput(); err != nil {
		return fmt.Errorf("flush the rules of %s: %w: %s", a.Host.Name, err, said)
	}
	return nil
}

// ip runs ip(8) with each of the argument lines, until one fails.
func (l *Lab) ip(lines []string) error {
	for _, line := range lines {
		out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
