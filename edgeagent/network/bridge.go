package network

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// bridgeName is the bridge of a subnet: unique on the machine, and short enough for the kernel.
func (n *Network) bridgeName(subnet string) string {
	sum := sha256.Sum256([]byte(n.config.Name + " " + subnet))
	return "skerry" + hex.EncodeToString(sum[:4])
}

// openBridge marks a bridge as ours and puts its rules in place; the plugin makes the bridge itself.
func (n *Network) openBridge(ctx context.Context, bridge string, subnet netip.Prefix) error {
	n.opening.Lock()
	defer n.opening.Unlock()
	if n.ready[bridge] {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(n.addresses(), bridge), 0o755); err != nil {
		return fmt.Errorf("make the directory of addresses: %w", err)
	}
	for _, rule := range rules(bridge, subnet.Masked().String()) {
		if err := n.ensure(ctx, rule); err != nil {
			return err
		}
	}
	n.ready[bridge] = true
	return nil
}

// checkSubnet looks whether the subnet and the host's own addresses go together.
func (n *Network) checkSubnet(bridge string, subnet netip.Prefix) error {
	err := overlap(subnet, bridge)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conflict = err
	return err
}

// overlap looks for an address of the host that lies in the subnet, or in whose network the subnet lies.
func overlap(subnet netip.Prefix, bridge string) error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list the machine's network interfaces: %w", err)
	}
	for _, i := range interfaces {
		if i.Name == bridge {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has gone meanwhile
		}
		for _, a := range addresses {
			other, err := netip.ParsePrefix(a.String())
			if err == nil && other.Overlaps(subnet) {
				return fmt.Errorf("the subnet %s of this node's pods overlaps with %s of the interface %s; start the master with another --pod-cidr",
					subnet, other, i.Name)
			}
		}
	}
	return nil
}

// closeBridge removes a bridge on which no pod is any more, with its rules and the directory of its addresses.
func (n *Network) closeBridge(ctx context.Context, bridge string) error {
	n.bridges.Lock()
	defer n.bridges.Unlock()
	if used, err := n.used(bridge); err != nil || used {
		return err
	}
	delete(n.ready, bridge) // nobody opens one while bridges is held
	if err := n.removeRules(ctx, bridge); err != nil {
		return err
	}
	if err := removeBridge(bridge); err != nil {
		return fmt.Errorf("remove the bridge %s: %w", bridge, err)
	}
	return os.RemoveAll(filepath.Join(n.addresses(), bridge))
}

// sweep removes the bridges without pods that an agent has left which was killed at the wrong moment.
func (n *Network) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(n.addresses())
	if err != nil {
		return fmt.Errorf("list bridges: %w", err)
	}
	for _, e := range entries {
		if err := n.closeBridge(ctx, e.Name()); err != nil {
			return err
		}
	}
	return nil
}

func removeBridge(name string) error {
	err := withInterface(name, func(fd int, request *unix.Ifreq) error {
		request.SetUint16(0) // down
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
			return err
		}
		return unix.IoctlIfreq(fd, unix.SIOCBRDELBR, request)
	})
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
		return nil // there is none
	}
	return err
}

// rule is one of iptables.
type rule struct {
	table, chain string
	first        bool // before those that are there
	spec         []string
}

// rules are those of a bridge: what leaves the node has the node's address, and may be forwarded also where
// another program, as Docker does, has forbidden all forwarding.
func rules(bridge, subnet string) []rule {
	comment := []string{"-m", "comment", "--comment", bridge}
	with := func(spec ...string) []string { return append(spec, comment...) }
	return []rule{
		{"nat", "POSTROUTING", false, append(with("-s", subnet, "!", "-o", bridge), "-j", "MASQUERADE")},
		{"filter", "FORWARD", true, append(with("-i", bridge), "-j", "ACCEPT")},
		{"filter", "FORWARD", true, append(with("-o", bridge), "-j", "ACCEPT")},
	}
}

// ensure adds a rule unless it is there. Without iptables there is none, which Limits tells.
func (n *Network) ensure(ctx context.Context, r rule) error {
	if !hasIPTables() {
		return nil
	}
	if _, err := n.iptables(ctx, append([]string{"-t", r.table, "-C", r.chain}, r.spec...)...); err == nil {
		return nil
	}
	how := "-A"
	if r.first {
		how = "-I"
	}
	_, err := n.iptables(ctx, append([]string{"-t", r.table, how, r.chain}, r.spec...)...)
	return err
}

// removeRules removes all rules of a bridge, whichever version of the agent has added them.
func (n *Network) removeRules(ctx context.Context, bridge string) error {
	if !hasIPTables() {
		return nil
	}
	for _, at := range []struct{ table, chain string }{{"nat", "POSTROUTING"}, {"filter", "FORWARD"}} {
		listed, err := n.iptables(ctx, "-t", at.table, "-S", at.chain)
		if err != nil {
			return err
		}
		for line := range strings.Lines(listed) {
			fields := strings.Fields(line)
			if len(fields) < 2 || fields[0] != "-A" || !strings.Contains(line, "--comment "+bridge+" ") {
				continue
			}
			fields[0] = "-D"
			if _, err := n.iptables(ctx, append([]string{"-t", at.table}, fields...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// iptables runs it once; -w: others may be at work on the rules.
func (n *Network) iptables(ctx context.Context, args ...string) (string, error) {
	path, found := findIPTables()
	if !found {
		return "", errors.New("the program iptables is missing")
	}
	cmd := start(ctx, n.lock, path, append([]string{"-w", "30"}, args...)...)
	answer, complaint := bounded{limit: 1 << 20}, bounded{limit: 1 << 10}
	cmd.Stdout, cmd.Stderr = &answer, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("iptables: %s", explain(nil, complaint.String(), err))
	}
	return answer.String(), nil
}

// sbin are the directories of system programs, which not every PATH has.
var sbin = []string{"/usr/sbin", "/sbin"}

func searchPath() string { return strings.Join(append([]string{os.Getenv("PATH")}, sbin...), ":") }

func hasIPTables() bool {
	_, found := findIPTables()
	return found
}

func findIPTables() (string, bool) {
	if path, err := exec.LookPath("iptables"); err == nil {
		return path, true
	}
	for _, dir := range sbin {
		if path, err := exec.LookPath(filepath.Join(dir, "iptables")); err == nil {
			return path, true
		}
	}
	return "", false
}
