package network

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inside marks the process that runs in a network namespace made for the tests.
const inside = "SKERRY_TEST_NETWORK_NAMESPACE"

// TestMain has the tests run in a network namespace of their own, where they leave the machine's alone.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(inside) != "" {
		if os.Getenv(inside) != "" {
			if err := loopbackUp(); err != nil {
				fmt.Fprintln(os.Stderr, "bring up loopback:", err)
				os.Exit(1)
			}
		}
		os.Exit(m.Run())
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(max(1, cmd.ProcessState.ExitCode()))
	}
}

// newNetwork is the network of an agent, which is taken down after the test.
func newNetwork(t *testing.T) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	n := newAgent(t, filepath.Join(t.TempDir(), "run"))
	if err := n.plugins.missing(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		pods, err := n.List(context.Background())
		if err != nil {
			t.Error(err)
		}
		for pod := range pods {
			release(t, n, pod)
		}
	})
	return n
}

// newAgent is the network of one more agent on a directory.
func newAgent(t *testing.T, dir string) *Network {
	t.Helper()
	n, err := New(Config{Dir: dir, Name: dir, PluginDirs: []string{"/opt/cni/bin", "/usr/lib/cni"}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// connectTimeout bounds a connection that nobody answers.
const connectTimeout = 5 * time.Second

// subnet is of the addresses that are reserved for benchmarks (RFC 2544).
var subnet = netip.MustParsePrefix("198.18.7.0/24")

func prepare(t *testing.T, n *Network, pod Pod) (path, ip string) {
	t.Helper()
	if !pod.Subnet.IsValid() {
		pod.Subnet = subnet
	}
	path, ip, err := n.Prepare(context.Background(), pod)
	if err != nil {
		t.Fatal(err)
	}
	if addr, err := netip.ParseAddr(ip); err != nil || !pod.Subnet.Contains(addr) {
		t.Fatalf("pod %s has the address %q, not one of %s", pod.UID, ip, pod.Subnet)
	}
	return path, ip
}

func release(t *testing.T, n *Network, pod string) {
	t.Helper()
	if err := n.Release(context.Background(), pod); err != nil {
		t.Error(err)
	}
}

// within runs do in a network namespace.
func within(t *testing.T, path string, do func() error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := inNewNamespace(func(string) error {
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return do()
	}); err != nil {
		t.Error(err)
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		t.Fatal(err)
	}
	return s.Ino
}

// traces are all that pods' networks leave on the machine: interfaces, addresses, rules, reservations, pins.
func traces(t *testing.T, n *Network) string {
	t.Helper()
	var out strings.Builder
	for _, command := range [][]string{
		{"ip", "-o", "link"}, {"ip", "-o", "addr"}, {"ip", "route"},
		{"iptables", "-t", "nat", "-S"}, {"iptables", "-t", "filter", "-S"},
	} {
		said, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", command, err, said)
		}
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		slices.Sort(lines)
		fmt.Fprintf(&out, "%v\n%s\n", command, strings.Join(lines, "\n"))
	}
	for _, dir := range []string{n.pins(), n.notes(), n.addresses()} {
		if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			fmt.Fprintln(&out, path)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}
