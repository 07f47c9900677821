package e2e

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/skerry-edge/skerry/test/lab"
)

// mounts are the places below a node's directory where something is mounted.
func mounts(t *testing.T, node *lab.Agent) []string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], node.DataDir+"/") {
			found = append(found, fields[4])
		}
	}
	return found
}

// An agent that is killed leaves the volumes of its pods mounted, for the pods go on. The next one takes them away
// with the pod, whether that is deleted before the agent is back or after.
func TestNoMountOutlivesItsPod(t *testing.T) {
	f := newFleet(t, 1)
	node := f.nodes[0]
	if before := mounts(t, node); len(before) != 0 {
		t.Fatalf("a new node has mounts: %v", before)
	}
	f.kubectl("create", "configmap", "settings", "--from-literal=colour=blue")
	f.kubectl("create", "secret", "generic", "keys", "--from-literal=token=hush")
	manifest := `{apiVersion: v1, kind: Pod, metadata: {name: mounts}, spec: {terminationGracePeriodSeconds: 1, volumes: [
		{name: settings, configMap: {name: settings}}, {name: keys, secret: {secretName: keys}}, {name: memory, emptyDir: {medium: Memory}}],
		containers: [{name: a, image: "` + probe + `", args: [sleep], volumeMounts: [{name: settings, mountPath: /settings}, {name: keys, mountPath: /keys}, {name: memory, mountPath: /memory},
		{name: settings, mountPath: /one, subPath: colour}]}]}}`
	for _, deleteFirst := range []bool{false, true} {
		f.apply(manifest)
		f.untilRunning("mounts")
		if len(mounts(t, node)) == 0 {
			t.Fatal("the pod has no mount: this test looks in the wrong place")
		}
		if err := node.Kill(); err != nil {
			t.Fatal(err)
		}
		if deleteFirst {
			f.kubectl("delete", "pod", "mounts", "--wait=false")
		}
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		if !deleteFirst {
			f.kubectl("delete", "pod", "mounts", "--wait=false")
		}
		f.until("the pod is gone, with its mounts", func() (bool, string) {
			out, err := f.master.Kubectl("get", "pods", "-o", "name")
			left := mounts(t, node)
			return err == nil && out == "" && len(left) == 0, seen(out+strings.Join(left, " "), err)
		})
	}
}

// A preStop hook has no more than the grace period; then the container is killed, also one that ignores SIGTERM.
func TestEndlessPreStopHook(t *testing.T) {
	f := newFleet(t, 1)
	f.apply(`{apiVersion: v1, kind: Pod, metadata: {name: stubborn}, spec: {terminationGracePeriodSeconds: 2, containers: [{name: a, image: "` + busybox + `",
		command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"], lifecycle: {preStop: {exec: {command: [sleep, "100000"]}}}}]}}`)
	f.untilRunning("stubborn")
	f.kubectl("delete", "pod", "stubborn", "--timeout=50s")
	if tasks, err := f.nodes[0].Tasks(); err != nil || len(tasks) != 0 {
		t.Errorf("the node still runs %v, %v", tasks, err)
	}
}

// A node that reboots while it is cut off gives its pods addresses of the subnet that it had.
func TestRebootKeepsTheSubnet(t *testing.T) {
	f := newFleet(t, 1, "--pod-cidr=10.200.0.0/16")
	node := f.nodes[0]
	f.apply(server("one", "node-1", ""))
	f.untilRunning("one")
	cidr := f.field("node", "node-1", ".spec.podCIDR")
	subnet := netip.MustParsePrefix(cidr)
	before := f.started("one")
	if err := node.Host.Cut(); err != nil {
		t.Fatal(err)
	}
	if err := node.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := node.EndContainers(); err != nil {
		t.Fatal(err)
	}
	f.until("nothing runs", func() (bool, string) {
		tasks, err := node.Tasks()
		return err == nil && len(tasks) == 0, seen(strings.Join(tasks, " "), err)
	})
	if err := node.LoseVolatile(); err != nil {
		t.Fatal(err)
	}
	gateway := func() (bool, string) {
		out, err := node.Host.Command("ip", "-o", "-4", "addr").CombinedOutput()
		return err == nil && strings.Contains(string(out), subnet.Addr().Next().String()+"/24"), seen(string(out), err)
	}
	if left, seen := gateway(); left {
		t.Fatalf("the reboot has left the bridge there: %s", seen)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	f.until("the pod runs again", func() (bool, string) {
		tasks, err := node.Tasks()
		return err == nil && len(tasks) == 1, seen(strings.Join(tasks, " "), err)
	})
	f.until("the bridge has the subnet's first address, while the node is cut off", gateway)
	if err := node.Host.Heal(); err != nil {
		t.Fatal(err)
	}
	f.until("the master knows of the restart", func() (bool, string) {
		now := f.started("one")
		return now != before, now
	})
	f.untilRunning("one")
	if now := f.field("node", "node-1", ".spec.podCIDR"); now != cidr {
		t.Errorf("the node had the subnet %s and has %s", cidr, now)
	}
	ip := f.field("pod", "one", ".status.podIP")
	if addr, err := netip.ParseAddr(ip); err != nil || !subnet.Contains(addr) {
		t.Errorf("the pod has the address %q, its node the subnet %s", ip, cidr)
	}
	if got := f.fetches("neighbour", "node-1", ip+":8080"); !strings.Contains(got, "one") {
		t.Errorf("at the pod's address answers %q", got)
	}
}
