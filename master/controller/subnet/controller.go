package subnet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// Bits is the length of the prefix of a node's subnet: 254 addresses, more than twice what a node has pods.
const Bits = 24

// DefaultRange is what nodes get their subnets from unless it is said otherwise.
const DefaultRange = "10.32.0.0/11"

// Config of a Controller.
type Config struct {
	Range netip.Prefix // of IPv4, no longer than Bits; invalid: DefaultRange
}

// Controller is the Planner; see the package's comment.
type Controller struct {
	pods  netip.Prefix
	nodes map[string]holder
	dirty bool            // a node has come, gone or got another subnet
	told  map[string]bool // nodes whose lack of a subnet has been told
}

// holder is a node with what it has.
type holder struct {
	created int64
	subnet  string
}

// New returns a Controller that knows nothing until Reset.
func New(config Config) *Controller {
	if !config.Range.IsValid() {
		config.Range = netip.MustParsePrefix(DefaultRange)
	}
	return &Controller{pods: config.Range.Masked(), nodes: map[string]holder{}, told: map[string]bool{}}
}

// Name is the planner's name.
func (c *Controller) Name() string { return "subnet" }

// Kinds are nodes.
func (c *Controller) Kinds() []change.Kind { return []change.Kind{resource.Nodes.Kind} }

// Reset rebuilds the projection.
func (c *Controller) Reset(view change.View) {
	clear(c.nodes)
	c.dirty = true
	for rec := range view.List(resource.Nodes.Kind, "") {
		c.Observe(change.Event{Rev: rec.Rev, Key: rec.Key, New: rec})
	}
}

// Observe follows one write.
func (c *Controller) Observe(e change.Event) {
	old, had := c.nodes[e.Key.Name]
	node, err := resource.As[*corev1.Node](resource.Nodes, e.New)
	if !e.New.Exists() || err != nil {
		delete(c.nodes, e.Key.Name)
		delete(c.told, e.Key.Name)
		c.dirty = c.dirty || had
		return
	}
	now := holder{created: node.CreationTimestamp.Unix(), subnet: node.Spec.PodCIDR}
	c.nodes[e.Key.Name] = now
	c.dirty = c.dirty || !had || now != old
}

// Plan gives a subnet to each node that has none of its own.
func (c *Controller) Plan(view change.View, now clock.Now) ([][]change.Change, clock.Now) {
	if !c.dirty {
		return nil, clock.Never
	}
	names := slices.SortedFunc(maps.Keys(c.nodes), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.nodes[a].created, c.nodes[b].created), cmp.Compare(a, b))
	})
	taken := map[uint32]bool{}
	var without []string
	for _, name := range names {
		number, ok := c.number(c.nodes[name].subnet)
		if !ok || taken[number] {
			without = append(without, name)
			continue
		}
		taken[number] = true
	}
	var groups [][]change.Change
	free := uint32(0)
	for _, name := range without {
		for taken[free] {
			free++
		}
		group := resource.NewGroup(view, now.Wall)
		c.give(view, group, name, free)
		if free < c.count() {
			free++
		}
		if group.Len() > 0 {
			groups = append(groups, group.Changes())
		}
	}
	// Otherwise it stays so until the writes come back as events: they may fail.
	c.dirty = len(groups) > 0
	return groups, clock.Never
}

// give writes a subnet into a node, or tells that there is none left.
func (c *Controller) give(view change.View, group *resource.Group, name string, number uint32) {
	rec, ok := view.Get(resource.Nodes.Key("", name))
	if !ok {
		return
	}
	node, err := resource.As[*corev1.Node](resource.Nodes, rec)
	if err != nil {
		return
	}
	tell := func(kind, reason, message string) {
		group.Record(resource.Occurrence{About: resource.Nodes.Reference("", name, node.UID), Type: kind,
			Reason: reason, Message: message, Component: "subnet-controller"})
	}
	if number >= c.count() {
		if !c.told[name] {
			c.told[name] = true
			tell(corev1.EventTypeWarning, "CIDRNotAvailable", fmt.Sprintf(
				"All %d subnets of %s belong to other nodes: pods of node %s get no addresses. Delete nodes that are gone, or start the master with a wider --pod-cidr.",
				c.count(), c.pods, name))
		}
		return
	}
	before, subnet := node.Spec.PodCIDR, c.subnet(number).String()
	node.Spec.PodCIDR, node.Spec.PodCIDRs = subnet, []string{subnet}
	group.Put(resource.Nodes, node, rec.Rev, "a subnet for the node's pods")
	if before != "" {
		tell(corev1.EventTypeNormal, "CIDRChanged", fmt.Sprintf(
			"The pods of node %s get addresses of %s from now on, for %s is not a free /%d of %s.", name, subnet, before, Bits, c.pods))
	}
}

// count is how many subnets there are.
func (c *Controller) count() uint32 { return 1 << (Bits - c.pods.Bits()) }

// subnet is the one with a number.
func (c *Controller) subnet(number uint32) netip.Prefix {
	first := c.pods.Addr().As4()
	var at [4]byte
	binary.BigEndian.PutUint32(at[:], binary.BigEndian.Uint32(first[:])+number<<(32-Bits))
	return netip.PrefixFrom(netip.AddrFrom4(at), Bits)
}

// number is that of a subnet, if it is one of ours.
func (c *Controller) number(text string) (number uint32, ok bool) {
	subnet, err := netip.ParsePrefix(text)
	if err != nil || subnet != subnet.Masked() || subnet.Bits() != Bits || !c.pods.Contains(subnet.Addr()) {
		return 0, false
	}
	first, at := c.pods.Addr().As4(), subnet.Addr().As4()
	return (binary.BigEndian.Uint32(at[:]) - binary.BigEndian.Uint32(first[:])) >> (32 - Bits), true
}
