package scheduler

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// cluster is what the scheduler knows of nodes and of the pods that hold their resources.
type cluster struct {
	nodes map[string]*node
	order []*node // the nodes that exist, by name
	pods  map[change.Key]holding

	// generation grows whenever what a node is changes, as opposed to what is free on it.
	generation uint64
	words      map[string]string // labels and images recur on thousands of nodes: each is kept once
}

// node is a node, or the stand-in of one that pods name and that does not exist (yet).
type node struct {
	name     string
	exists   bool
	labels   map[string]string
	taints   []corev1.Taint
	cordoned bool
	suspect  bool
	images   map[string]struct{}

	allocatable amounts
	offers      map[string]int64 // devices

	requested amounts
	load      amounts
	used      map[string]int64 // devices
	ports     []port
	owners    []uint32 // of the pods that are here, one entry a pod
}

// holding is a pod that holds resources of a node.
type holding struct {
	uid   types.UID
	node  *node
	needs *requirement
	owner uint32
}

func newCluster() *cluster {
	return &cluster{nodes: map[string]*node{}, pods: map[change.Key]holding{}, words: map[string]string{}}
}

func (c *cluster) node(name string) *node {
	n := c.nodes[name]
	if n == nil {
		n = &node{name: name}
		c.nodes[name] = n
	}
	return n
}

// setNode takes over what a node is now, and reports whether pods that found no place may find one.
func (c *cluster) setNode(object *corev1.Node) (better bool) {
	n := c.node(object.Name)
	was := *n
	n.labels = c.labels(object.Labels)
	n.taints = taints(object)
	n.cordoned = object.Spec.Unschedulable
	suspect := resource.NodeCondition(object, resource.ConditionSuspect)
	n.suspect = suspect != nil && suspect.Status == corev1.ConditionTrue
	n.images = map[string]struct{}{}
	for _, image := range object.Status.Images {
		for _, name := range image.Names {
			n.images[c.word(name)] = struct{}{}
		}
	}
	n.allocatable, n.offers = capacity(object)

	if !n.exists {
		n.exists = true
		at, _ := slices.BinarySearchFunc(c.order, n.name, func(n *node, name string) int { return strings.Compare(n.name, name) })
		c.order = slices.Insert(c.order, at, n)
		c.generation++
		return true
	}
	if was.cordoned != n.cordoned || !equal(was.labels, n.labels) || !slices.Equal(was.taints, n.taints) {
		c.generation++
		return true
	}
	return was.allocatable != n.allocatable || !equal(was.offers, n.offers)
}

func (c *cluster) removeNode(name string) {
	n := c.nodes[name]
	if n == nil || !n.exists {
		return
	}
	at, _ := slices.BinarySearchFunc(c.order, name, func(n *node, name string) int { return strings.Compare(n.name, name) })
	c.order = slices.Delete(c.order, at, at+1)
	c.generation++
	n.exists = false
	if len(n.owners) == 0 {
		delete(c.nodes, name)
	}
}

// hold makes a pod hold what it needs on a node.
func (c *cluster) hold(key change.Key, h holding) {
	c.pods[key] = h
	h.node.take(h.needs, h.owner)
}

// free ends what a pod holds, and reports whether it held anything.
func (c *cluster) free(key change.Key) bool {
	h, held := c.pods[key]
	if !held {
		return false
	}
	delete(c.pods, key)
	h.node.give(h.needs, h.owner)
	if !h.node.exists && len(h.node.owners) == 0 {
		delete(c.nodes, h.node.name)
	}
	return true
}

func (n *node) take(r *requirement, owner uint32) {
	n.requested.add(r.requests)
	n.load.add(r.load)
	for _, d := range r.devices {
		if n.used == nil {
			n.used = map[string]int64{}
		}
		n.used[d.name] += d.amount
	}
	n.ports = append(n.ports, r.ports...)
	n.owners = append(n.owners, owner)
}

func (n *node) give(r *requirement, owner uint32) {
	n.requested.sub(r.requests)
	n.load.sub(r.load)
	for _, d := range r.devices {
		n.used[d.name] -= d.amount
	}
	for _, p := range r.ports {
		if i := slices.Index(n.ports, p); i >= 0 {
			n.ports = slices.Delete(n.ports, i, i+1)
		}
	}
	if i := slices.Index(n.owners, owner); i >= 0 {
		last := len(n.owners) - 1
		n.owners[i] = n.owners[last]
		n.owners = n.owners[:last]
	}
}

// taints are a node's own, and one for not being ready where the node controller has not yet put it.
func taints(object *corev1.Node) []corev1.Taint {
	var out []corev1.Taint
	marked := false
	for _, t := range object.Spec.Taints {
		marked = marked || t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable
		out = append(out, corev1.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
	}
	ready := resource.NodeCondition(object, corev1.NodeReady)
	if !marked && (ready == nil || ready.Status != corev1.ConditionTrue) {
		out = append(out, corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule})
	}
	return out
}

// defaultPods is how many pods a node takes that does not say: the kubelet's default.
const defaultPods = 110

func capacity(object *corev1.Node) (amounts, map[string]int64) {
	list := object.Status.Allocatable
	if len(list) == 0 {
		list = object.Status.Capacity
	}
	var q quantities
	q.add(list)
	if _, says := list[corev1.ResourcePods]; !says {
		q.pods = defaultPods
	}
	return q.amounts, q.devices
}

func (c *cluster) labels(labels map[string]string) map[string]string {
	out := make(map[string]string, len(labels))
	for k, v := range labels {
		out[c.word(k)] = c.word(v)
	}
	return out
}

// maxWords bounds the table; beyond it equal words may be kept twice.
const maxWords = 1 << 16

func (c *cluster) word(w string) string {
	if known, ok := c.words[w]; ok {
		return known
	}
	if len(c.words) < maxWords {
		c.words[w] = w
	}
	return w
}

func equal[V comparable](a, b map[string]V) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}
