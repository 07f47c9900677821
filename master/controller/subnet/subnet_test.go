package subnet

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
)

// node is one that was created so many seconds after the beginning, with a subnet, if any.
func node(name string, created int, subnet string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name,
		CreationTimestamp: metav1.NewTime(plantest.Start.Add(time.Duration(created) * time.Second))}}
	if subnet != "" {
		n.Spec.PodCIDR, n.Spec.PodCIDRs = subnet, []string{subnet}
	}
	return n
}

func newController(cidr string) *Controller {
	return New(Config{Range: netip.MustParsePrefix(cidr)})
}

// subnets are those of all nodes, as node=subnet.
func subnets(w *plantest.World) string {
	var out []string
	for _, n := range plantest.List[*corev1.Node](w, resource.Nodes) {
		if (n.Spec.PodCIDR != "") != (len(n.Spec.PodCIDRs) == 1) {
			w.T.Errorf("%s has podCIDR %q, podCIDRs %q", n.Name, n.Spec.PodCIDR, n.Spec.PodCIDRs)
		}
		out = append(out, n.Name+"="+n.Spec.PodCIDR)
	}
	return strings.Join(out, " ")
}

func expect(t *testing.T, w *plantest.World, want string) {
	t.Helper()
	w.Settle()
	if diff := cmp.Diff(want, subnets(w)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each node gets the lowest subnet that is free, older nodes first; one that is free again goes to the next.
func TestEachNodeGetsItsOwn(t *testing.T) {
	w := plantest.New(t, newController("10.32.0.0/11"))
	w.Put(node("young", 2, ""), node("old", 1, ""))
	expect(t, w, "old=10.32.0.0/24 young=10.32.1.0/24")
	w.Put(node("more", 3, ""))
	expect(t, w, "more=10.32.2.0/24 old=10.32.0.0/24 young=10.32.1.0/24")
	w.Delete(resource.Nodes, "", "old")
	w.Put(node("next", 4, ""))
	expect(t, w, "more=10.32.2.0/24 next=10.32.0.0/24 young=10.32.1.0/24")
}

// A restarted master leaves everything as it is.
func TestSubnetsOutliveTheMaster(t *testing.T) {
	w := plantest.New(t, newController("10.32.0.0/11"))
	w.Put(node("a", 1, "10.32.9.0/24"), node("b", 2, ""))
	expect(t, w, "a=10.32.9.0/24 b=10.32.0.0/24")
	if lines := w.Again(newController("10.32.0.0/11")); len(lines) > 0 {
		t.Errorf("a restarted controller writes %v", lines)
	}
}

// What no node may have is replaced: a subnet that an older node has, one of another range, one of another size,
// one that is none.
func TestSubnetsThatAreReplaced(t *testing.T) {
	w := plantest.New(t, newController("10.32.0.0/11"))
	w.Put(node("a", 1, "10.32.1.0/24"), node("b", 2, "10.32.1.0/24"), node("c", 3, "10.99.0.0/24"),
		node("d", 4, "10.32.4.0/25"), node("e", 5, "10.32.5.1/24"), node("f", 6, "fd00::/64"))
	expect(t, w, "a=10.32.1.0/24 b=10.32.0.0/24 c=10.32.2.0/24 d=10.32.3.0/24 e=10.32.4.0/24 f=10.32.5.0/24")
	told := 0
	for _, e := range plantest.List[*corev1.Event](w, resource.Events) {
		if e.Reason == "CIDRChanged" {
			told++
		}
	}
	if told != 5 {
		t.Errorf("%d nodes were told of, want 5", told)
	}
}

// When none is left a node goes without, which is told once, until one is free.
func TestNoneIsLeft(t *testing.T) {
	c := newController("192.168.4.0/23")
	w := plantest.New(t, c)
	w.Put(node("a", 1, ""), node("b", 2, ""), node("c", 3, ""))
	expect(t, w, "a=192.168.4.0/24 b=192.168.5.0/24 c=")
	w.Put(node("d", 4, ""))
	expect(t, w, "a=192.168.4.0/24 b=192.168.5.0/24 c= d=")
	for _, e := range plantest.List[*corev1.Event](w, resource.Events) {
		if e.Reason != "CIDRNotAvailable" || !strings.Contains(e.Message, "--pod-cidr") || e.Count > 1 {
			t.Errorf("%d times %s: %s", e.Count, e.Reason, e.Message)
		}
	}
	w.Delete(resource.Nodes, "", "a")
	expect(t, w, "b=192.168.5.0/24 c=192.168.4.0/24 d=")
}

// Every subnet of a range is given to exactly one node.
func TestAWholeRange(t *testing.T) {
	w := plantest.New(t, newController("172.16.0.0/19"))
	for i := range 32 {
		w.Put(node(fmt.Sprintf("n%02d", i), i, ""))
	}
	w.Settle()
	seen := map[string]bool{}
	for _, n := range plantest.List[*corev1.Node](w, resource.Nodes) {
		seen[n.Spec.PodCIDR] = true
	}
	if len(seen) != 32 || seen[""] || !seen["172.16.31.0/24"] {
		t.Errorf("%d subnets: %v", len(seen), seen)
	}
}
