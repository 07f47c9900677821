package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skerry-edge/skerry/test/lab"
)

// server is a pod that answers HTTP on port 8080; extra are fields of its container, with a comma in front.
func server(name, node, extra string) string {
	return `{apiVersion: v1, kind: Pod, metadata: {name: ` + name + `}, spec: {nodeName: ` + node +
		`, terminationGracePeriodSeconds: 1, containers: [{name: a, image: "` + probe + `", args: [serve, ":8080"]` + extra + `}]}}
---
`
}

// fetches runs a pod that asks an HTTP server and ends, and returns what it got.
func (f *fleet) fetches(name, node, address string) string {
	f.Helper()
	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: ` + name + `}, spec: {nodeName: ` + node + `, restartPolicy: OnFailure, containers: [
		{name: a, image: "` + probe + `", args: [fetch, "` + address + `"]}]}}`)
	f.untilPrints("Succeeded", "get", "pod", name, "-o", "jsonpath={.status.phase}")
	return f.kubectl("logs", name)
}

// Pods of a node have addresses of the node's own subnet, know them, and reach each other and what is outside of
// their node, where they have the node's address; a hostPort is reached from other hosts.
func TestPodNetwork(t *testing.T) {
	f := newFleet(t, 2, "--pod-cidr=10.200.0.0/16")
	f.apply(server("one", "node-1", `, env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}], ports: [{containerPort: 8080, hostPort: 18080}]`) +
		strings.Replace(server("out", "node-2", ""), "spec: {", "spec: {hostNetwork: true, ", 1))
	f.untilRunning("one")
	f.untilRunning("out")

	ip := f.field("pod", "one", ".status.podIP")
	subnet := netip.MustParsePrefix(f.field("node", "node-1", ".spec.podCIDR"))
	if addr, err := netip.ParseAddr(ip); err != nil || !subnet.Contains(addr) || !strings.HasPrefix(ip, "10.200.") {
		t.Errorf("the pod has the address %q, its node the subnet %s", ip, subnet)
	}
	if other := f.field("node", "node-2", ".spec.podCIDR"); other == subnet.String() || other == "" {
		t.Errorf("the nodes have the subnets %q and %q", subnet, other)
	}
	if out := f.kubectl("get", "pod", "one", "-o", "wide"); !strings.Contains(out, ip) {
		t.Errorf("get -o wide doesn't show %s:\n%s", ip, out)
	}
	if host := f.field("pod", "one", ".status.hostIP"); host != f.nodes[0].Host.Address {
		t.Errorf("hostIP is %q, want %s", host, f.nodes[0].Host.Address)
	}
	if got := f.field("node", "node-1", `.status.conditions[?(@.type=="NetworkUnavailable")].status`); got != "False" {
		t.Errorf("NetworkUnavailable is %q", got)
	}

	if got := f.fetches("neighbour", "node-1", ip+":8080"); !strings.Contains(got, "one") {
		t.Errorf("a pod of the same node got %q", got)
	}
	if got := f.fetches("outward", "node-1", f.nodes[1].Host.Address+":8080"); !strings.Contains(got, "node-2") {
		t.Errorf("what is outside answered %q", got)
	}
	if got := f.fetches("inward", "node-2", f.nodes[0].Host.Address+":18080"); !strings.Contains(got, "one") {
		t.Errorf("the hostPort answered %q", got)
	}

	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: named}, spec: {nodeName: node-1, restartPolicy: Never, hostAliases: [{ip: 10.1.2.3, hostnames: [gauge, gauge.example]}], containers: [
		{name: own, image: "` + probe + `", args: [check, file, /etc/hosts, "$(IP)\tnamed\n"], env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]},
		{name: alias, image: "` + probe + `", args: [check, file, /etc/hosts, "10.1.2.3\tgauge gauge.example\n"]}]}}`)
	f.untilPrints("Succeeded", "get", "pod", "named", "-o", "jsonpath={.status.phase}")

	// A second pod that wants the port finds no place on the node that has it taken.
	f.apply(strings.Replace(server("taken", "", `, ports: [{containerPort: 8080, hostPort: 18080}]`), "nodeName: ,", "nodeSelector: {kubernetes.io/hostname: node-1},", 1))
	f.until("the event about the port", func() (bool, string) {
		out, err := f.master.Kubectl("get", "events", "--field-selector=involvedObject.name=taken")
		return strings.Contains(out, "didn't have free ports for the requested pod ports"), seen(out, err)
	})

	// Restarted agents know the addresses of what they adopt.
	before := f.started("one")
	agent := f.node("node-1")
	if err := agent.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	f.fetches("after", "node-1", ip+":8080")
	if got := f.field("pod", "one", ".status.podIP"); got != ip || f.started("one") != before {
		t.Errorf("after a restart of the agent the pod has %q and is %s; it was %q and %s", got, f.started("one"), ip, before)
	}
}

// Without the plugins only pods in the node's network run; the node and the others say what to do.
func TestNoNetworkPlugins(t *testing.T) {
	f := &fleet{T: t, lab: newLab(t)}
	f.startMaster()
	plugins := filepath.Join(f.lab.Dir, "cni")
	f.addNode("--cni-bin-dir", plugins)
	f.waitReady(1)
	says := f.field("node", "node-1", `.status.conditions[?(@.type=="NetworkUnavailable")].message`)
	for _, want := range []string{plugins, "containernetworking-plugins", "--cni-bin-dir"} {
		if !strings.Contains(says, want) {
			t.Errorf("the node says %q; want in it: %s", says, want)
		}
	}
	f.kubectl("run", "own", "--image="+probe)
	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: host}, spec: {hostNetwork: true, containers: [{name: a, image: "` + probe + `"}]}}`)
	f.apply(server("bound", "node-1", ""))
	f.untilRunning("host")
	f.until("the bound pod says why it waits", func() (bool, string) {
		out, err := f.master.Kubectl("get", "pod", "bound", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}")
		return strings.Contains(out, "containernetworking-plugins"), seen(out, err)
	})
	if out := f.kubectl("get", "events", "--field-selector=involvedObject.name=own"); !strings.Contains(out, "network-unavailable") {
		t.Errorf("the pod that found no node says\n%s", out)
	}
	for _, dir := range []string{"/opt/cni/bin", "/usr/lib/cni"} {
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			if err := os.Symlink(dir, plugins); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	f.untilRunning("bound")
	f.untilRunning("own")
}

// However often the agent is killed while pods come and go, nothing of their networks stays behind: no interface,
// address, route, rule, reservation or namespace.
func TestNothingOfPodNetworksStaysBehind(t *testing.T) {
	f := newFleet(t, 1, quick...)
	agent := f.nodes[0]
	before := traces(t, agent)
	pods := server("a", "node-1", `, ports: [{containerPort: 8080, hostPort: 18080}]`) + server("b", "node-1", "") + server("c", "node-1", "")
	restart := func(after time.Duration) {
		t.Helper()
		// A moment in the middle of the work, another one each time: what is there then is not looked at.
		time.Sleep(after)
		if err := agent.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := agent.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 5 {
		f.apply(pods)
		restart(time.Duration(50+150*round) * time.Millisecond)
		if round%2 == 0 {
			f.untilRunning("a")
		}
		f.kubectl("delete", "pods", "a", "b", "c", "--wait=false")
		restart(time.Duration(1000+100*round) * time.Millisecond)
		f.untilPrints("", "get", "pods", "-o", "name")
	}
	if diff := cmp.Diff(before, traces(t, agent)); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
}

// portmapOwn are the rules that the plugin portmap makes once and keeps for all pods to come.
var portmapOwn = regexp.MustCompile(`CNI-HOSTPORT-|^#|^:(PRE|POST)ROUTING|^:(INPUT|OUTPUT|FORWARD) |^\*|^COMMIT`)

// traces are all that pods' networks leave on a node.
func traces(t *testing.T, agent *lab.Agent) string {
	t.Helper()
	var out []string
	for _, command := range []string{"ip -o link", "ip -o -4 addr", "ip route", "iptables-save"} {
		args := strings.Fields(command)
		said, err := agent.Host.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", command, err, said)
		}
		for line := range strings.Lines(string(said)) {
			if !portmapOwn.MatchString(line) {
				out = append(out, command+": "+line)
			}
		}
	}
	slices.Sort(out)
	sum := sha256.Sum256([]byte(agent.DataDir))
	for _, dir := range []string{"netns", "pods", "addresses"} {
		entries, err := os.ReadDir(filepath.Join("/run", "skerry-"+hex.EncodeToString(sum[:4]), dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			out = append(out, dir+": "+e.Name()+"\n")
		}
	}
	return strings.Join(out, "")
}
