package server

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

// maxAdvertised is how many addresses go into a join token.
const maxAdvertised = 8

// checkAdvertised says why text is neither a DNS name nor an IP address.
func checkAdvertised(text string) error {
	if net.ParseIP(text) != nil {
		return nil
	}
	fail := fmt.Errorf("%q is neither a host name nor an IP address; write it without a port", text)
	if len(text) > 253 {
		return fail
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return fail
		}
	}
	return nil
}

// advertised are the addresses under which a listener is reached by others, best first.
func (c Config) advertised(listen string, machine []string) []string {
	switch host, _, _ := net.SplitHostPort(listen); {
	case len(c.Advertise) > 0:
		return c.Advertise
	case host != "" && !isUnspecified(host):
		return []string{host}
	case len(machine) > 0:
		return machine
	}
	return []string{"127.0.0.1"} // a machine without a network has only itself
}

func isUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

// names are all that the server's certificate is for.
func (c Config) names(machine []string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil && checkAdvertised(host) == nil {
		names = append(names, host)
	}
	names = append(names, c.Advertise...)
	names = append(names, machine...)
	for _, listen := range []string{c.APIListen, c.MQTTListen} {
		if host, _, err := net.SplitHostPort(listen); err == nil && host != "" && !isUnspecified(host) {
			names = append(names, host)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// virtual are the beginnings of the names of interfaces that lead to containers, not to other machines.
var virtual = []string{"docker", "br-", "veth", "cni", "virbr", "flannel", "skerry", "podman", "lxc"}

// machineAddresses are the addresses under which other machines may reach this one, IPv4 first.
func machineAddresses() []string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var four, six []string
	for _, i := range interfaces {
		isVirtual := slices.ContainsFunc(virtual, func(prefix string) bool { return strings.HasPrefix(i.Name, prefix) })
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 || isVirtual {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			ip, ok := a.(*net.IPNet)
			switch {
			case !ok || !ip.IP.IsGlobalUnicast():
			case ip.IP.To4() != nil:
				four = append(four, ip.IP.String())
			default:
				six = append(six, ip.IP.String())
			}
		}
	}
	all := append(four, six...)
	return all[:min(len(all), maxAdvertised)]
}
