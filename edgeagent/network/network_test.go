package network

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// serve accepts connections in a pod until the test ends, each with one byte.
func serve(t *testing.T, path, address string) {
	t.Helper()
	within(t, path, func() error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Write([]byte("x"))
				c.Close()
			}
		}()
		return nil
	})
}

func reach(address string) error {
	c, err := net.DialTimeout("tcp", address, connectTimeout)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	return err
}

// Two pods have namespaces and addresses of their own and reach each other; loopback works; the node reaches
// them too.
func TestPodsReachEachOther(t *testing.T) {
	n := newNetwork(t)
	a, ipA := prepare(t, n, Pod{UID: "a"})
	b, ipB := prepare(t, n, Pod{UID: "b"})
	if ipA == ipB || inode(t, a) == inode(t, b) || inode(t, a) == inode(t, "/proc/self/ns/net") {
		t.Fatal("the pods are not apart")
	}
	serve(t, b, ":8080")
	within(t, a, func() error { return reach(ipB + ":8080") })
	within(t, b, func() error { return reach("127.0.0.1:8080") })
	if err := reach(ipB + ":8080"); err != nil {
		t.Error(err)
	}
}

// A port of the host leads to the pod, and to nobody once the pod has gone.
func TestHostPort(t *testing.T) {
	n := newNetwork(t)
	prepare(t, n, Pod{UID: "stays"})
	before := traces(t, n)
	path, _ := prepare(t, n, Pod{UID: "p", Ports: []Port{{Host: 18080, Container: 8080, Protocol: "tcp"}}})
	serve(t, path, ":8080")
	gateway := subnet.Addr().Next().String()
	if err := reach(gateway + ":18080"); err != nil {
		t.Error(err)
	}
	within(t, path, func() error { return reach(gateway + ":18080") })
	release(t, n, "p")
	if err := reach(gateway + ":18080"); err == nil {
		t.Error("the port still leads somewhere")
	}
	if diff := cmp.Diff(withoutPortmap(before), withoutPortmap(traces(t, n))); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
}

// withoutPortmap takes away the chains that the plugin portmap keeps for all pods that will come.
func withoutPortmap(traces string) string {
	var out strings.Builder
	for line := range strings.Lines(traces) {
		if !strings.Contains(line, "CNI-HOSTPORT-") && !strings.Contains(line, "last_reserved_ip") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// Prepare is repeatable, by another agent too, and Release as well; the last pod takes everything along.
func TestNetworksOutliveTheAgent(t *testing.T) {
	n := newNetwork(t)
	before := traces(t, n)
	path, ip := prepare(t, n, Pod{UID: "pod"})
	first := inode(t, path)
	n.lock.Close() // the agent has ended
	n.lock = nil
	again := newAgent(t, n.config.Dir)
	if pods, err := again.List(context.Background()); err != nil || !maps.Equal(pods, map[string]string{"pod": ip}) {
		t.Errorf("List = %v, %v", pods, err)
	}
	if path, same := prepare(t, again, Pod{UID: "pod"}); same != ip || inode(t, path) != first {
		t.Error("a restarted agent made another network")
	}
	for range 2 {
		release(t, again, "pod")
	}
	if diff := cmp.Diff(before, traces(t, again)); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
	again.lock.Close()
}

// What a crash left half made is undone and made anew: a note without a result, a pin without a note, a note
// without a pin.
func TestWhatACrashLeft(t *testing.T) {
	n := newNetwork(t)
	before := traces(t, n)
	for _, uid := range []string{"half", "half-unused", "unpinned"} {
		prepare(t, n, Pod{UID: uid, Ports: []Port{{Host: 18081, Container: 1, Protocol: "udp"}}})
	}
	for _, uid := range []string{"half", "half-unused"} {
		note, err := n.readNote(uid)
		if err != nil {
			t.Fatal(err)
		}
		note.Result, note.IP = nil, ""
		if err := n.writeNote(uid, note); err != nil {
			t.Fatal(err)
		}
	}
	unpinned, _ := n.pinOf("unpinned")
	if err := unpin(unpinned); err != nil {
		t.Fatal(err)
	}
	bare, _ := n.pinOf("bare")
	if err := os.WriteFile(bare, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	for _, uid := range []string{"half", "unpinned", "bare"} {
		path, _ := prepare(t, n, Pod{UID: uid})
		if pinned, err := isPinned(path); err != nil || !pinned {
			t.Errorf("%s has no namespace: %v", uid, err)
		}
	}
	pods, err := n.List(context.Background())
	if err != nil || len(pods) != 4 {
		t.Errorf("List = %v, %v", pods, err)
	}
	for uid := range pods {
		release(t, n, uid)
	}
	if diff := cmp.Diff(withoutPortmap(before), withoutPortmap(traces(t, n))); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
}

// A node that is given another subnet: pods keep what they have, new ones are in the new subnet, and the old
// bridge goes with its last pod.
func TestAnotherSubnet(t *testing.T) {
	n := newNetwork(t)
	other := netip.MustParsePrefix("198.18.8.0/24")
	_, ip := prepare(t, n, Pod{UID: "old"})
	prepare(t, n, Pod{UID: "new", Subnet: other})
	if _, again, err := n.Prepare(context.Background(), Pod{UID: "old", Subnet: other}); err != nil || again != ip {
		t.Errorf("the old pod has %s, %v; it had %s", again, err, ip)
	}
	release(t, n, "old")
	for _, c := range []struct {
		subnet netip.Prefix
		there  bool
	}{{subnet, false}, {other, true}} {
		if _, err := net.InterfaceByName(n.bridgeName(c.subnet.String())); (err == nil) != c.there {
			t.Errorf("the bridge of %s: %v", c.subnet, err)
		}
	}
}

// A bridge that an agent left which was killed between its last pod and its bridge goes at the next start.
func TestBridgeWithoutPods(t *testing.T) {
	n := newNetwork(t)
	before := traces(t, n)
	prepare(t, n, Pod{UID: "pod"})
	path, _ := n.pinOf("pod")
	note, err := n.readNote("pod")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.undo(context.Background(), "pod", path, note); err != nil {
		t.Fatal(err)
	}
	n.lock.Close()
	again := newAgent(t, n.config.Dir)
	if _, err := again.List(context.Background()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, traces(t, again)); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
	again.lock.Close()
	n.lock = nil
}

// As long as a plugin of an agent before runs, nobody else touches what it works on.
func TestPluginsOfAnAgentBefore(t *testing.T) {
	n := newNetwork(t)
	if err := n.begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	late := newAgent(t, n.config.Dir)
	ctx, cancel := context.WithTimeout(context.Background(), 3*lockRetry)
	defer cancel()
	if _, _, err := late.Prepare(ctx, Pod{UID: "pod", Subnet: subnet}); !errors.Is(err, errBusy) {
		t.Errorf("Prepare = %v", err)
	}
	n.lock.Close()
	n.lock = nil
	prepare(t, late, Pod{UID: "pod"})
	release(t, late, "pod")
	late.lock.Close()
}

func TestManyAtOnce(t *testing.T) {
	n := newNetwork(t)
	before := traces(t, n)
	for range 2 {
		var group sync.WaitGroup
		for _, uid := range []string{"a", "b", "c", "c"} {
			group.Go(func() {
				if _, _, err := n.Prepare(context.Background(), Pod{UID: uid, Subnet: subnet}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if pods, err := n.List(context.Background()); err != nil || len(pods) != 3 {
			t.Errorf("List = %v, %v", pods, err)
		}
		for _, uid := range []string{"a", "b", "c", "c"} {
			group.Go(func() {
				if err := n.Release(context.Background(), uid); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	if diff := cmp.Diff(before, traces(t, n)); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
}

// What a pod waits for is said in words that help.
func TestWhyAPodWaits(t *testing.T) {
	n := newNetwork(t)
	says := func(what string, err error, words ...string) {
		t.Helper()
		for _, word := range words {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v; want in it: %s", what, err, word)
			}
		}
	}
	_, _, err := n.Prepare(context.Background(), Pod{UID: "pod"})
	says("no subnet", err, "subnet", "master")
	_, _, err = n.Prepare(context.Background(), Pod{UID: "pod", Subnet: netip.MustParsePrefix("127.0.0.0/24")})
	says("a subnet of the host's", err, "127.0.0.0/24", "--pod-cidr", "lo")
	says("the same, for the node", n.Problem(), "--pod-cidr")
	prepare(t, n, Pod{UID: "pod"})
	if err := n.Problem(); err != nil {
		t.Errorf("the problem is over, but still told: %v", err)
	}
	n.plugins.dirs = []string{filepath.Join(t.TempDir(), "none")}
	_, _, err = n.Prepare(context.Background(), Pod{UID: "other", Subnet: subnet})
	says("no plugins", err, "bridge, host-local, portmap", "containernetworking-plugins", "--cni-bin-dir")
	says("the same, for the node", n.Problem(), "containernetworking-plugins")
	if _, _, err := n.Prepare(context.Background(), Pod{UID: "host", Host: true}); err != nil {
		t.Errorf("a pod on the host's network: %v", err)
	}
	n.plugins.dirs = []string{"/opt/cni/bin", "/usr/lib/cni"}
}

func TestPodUIDsAreFileNames(t *testing.T) {
	n := newNetwork(t)
	for _, uid := range []string{"", ".", "..", "a/b", "../x", ".draft"} {
		if _, _, err := n.Prepare(context.Background(), Pod{UID: uid, Subnet: subnet}); err == nil {
			t.Errorf("Prepare(%q) succeeded", uid)
		}
		if err := n.Release(context.Background(), uid); err == nil {
			t.Errorf("Release(%q) succeeded", uid)
		}
	}
}

// Whatever pods got, the host's network is the one that the agent was started in.
func TestHostNetwork(t *testing.T) {
	n := newNetwork(t)
	path, ip, err := n.Prepare(context.Background(), Pod{UID: "pod", Host: true})
	if err != nil || ip != "" {
		t.Fatal(path, ip, err)
	}
	if pods, err := n.List(context.Background()); err != nil || len(pods) != 0 {
		t.Errorf("List = %v, %v", pods, err)
	}
	before := inode(t, "/proc/self/ns/net")
	for range 3 {
		prepare(t, n, Pod{UID: "pod"})
		release(t, n, "pod")
	}
	if again, err := Host(); err != nil || again != path || inode(t, "/proc/self/ns/net") != before {
		t.Errorf("Host = %q, %v; was %q", again, err, path)
	}
	if path != "" && inode(t, path) != before {
		t.Errorf("%s is not the agent's namespace", path)
	}
}
