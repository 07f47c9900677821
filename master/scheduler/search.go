package scheduler

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

// How much of a big cluster one pod looks at. Clusters of up to wholeCluster nodes are looked at whole.
const (
	wholeCluster = 128
	enough       = 64   // nodes that take the pod and are scored
	farEnough    = 1024 // nodes looked at, once one takes the pod
)

// candidates are the nodes that can be the place, by name; kept until a node changes.
func (c *cluster) candidates(p *place) []*node {
	if p.generation == c.generation {
		return p.candidates
	}
	p.candidates, p.generation = p.candidates[:0], c.generation
	for _, n := range c.order {
		if p.admits(n) == "" {
			p.candidates = append(p.candidates, n)
		}
	}
	return p.candidates
}

// find is the best node for a pod among those that it looks at, or nil when none at all takes it. Of equal
// nodes the first wins; where is any number that differs from pod to pod.
func (c *cluster) find(r *requirement, owner, where uint32) *node {
	nodes := c.candidates(r.place)
	start, limit := 0, len(nodes)
	if len(nodes) > wholeCluster {
		start, limit = int(where%uint32(len(nodes))), enough
	}
	var best *node
	var bestScore int64
	for i, taken := 0, 0; i < len(nodes) && taken < limit && (taken == 0 || i < farEnough); i++ {
		at := start + i
		if at >= len(nodes) {
			at -= len(nodes)
		}
		n := nodes[at]
		if !r.fits(n) {
			continue
		}
		taken++
		if s := r.score(n, owner); best == nil || s > bestScore {
			best, bestScore = n, s
		}
	}
	return best
}

// What counts how much, in points. A whole difference in load or all images present are 100 each.
const (
	spreadPoints  = 200  // the node has no pod of the same owner; half of them if it has one, and so on
	imagePoints   = 100  // shared among the pod's images
	avoidPoints   = 300  // less for each PreferNoSchedule taint that the pod does not tolerate
	suspectPoints = 1000 // less for a node that may be about to be lost
)

// score is how well a node that fits suits: more is better.
func (r *requirement) score(n *node, owner uint32) int64 {
	after := n.load
	after.add(r.load)
	s := (spare(after.cpu, n.allocatable.cpu) + spare(after.memory, n.allocatable.memory) +
		spare(after.pods, n.allocatable.pods)) / 3

	if owner != 0 {
		same := int64(0)
		for _, o := range n.owners {
			if o == owner {
				same++
			}
		}
		s += spreadPoints * scale / (1 + same)
	}
	if len(n.images) > 0 && len(r.images) > 0 {
		present := int64(0)
		for _, image := range r.images {
			if _, ok := n.images[image]; ok {
				present++
			}
		}
		s += imagePoints * scale * present / int64(len(r.images))
	}
	if n.suspect {
		s -= suspectPoints * scale
	}
	for i := range n.taints {
		if t := n.taints[i : i+1]; resource.Untolerated(r.place.tolerations, t, corev1.TaintEffectPreferNoSchedule) != nil {
			s -= avoidPoints * scale
		}
	}
	return s
}

// scale is the number of steps in one point: small loads on big nodes must still differ.
const scale = 1000

// spare is the share of a resource that stays free, in steps of up to 100 points.
func spare(used, of int64) int64 {
	if of <= 0 || used >= of {
		return 0
	}
	return int64(float64(of-used) / float64(of) * 100 * scale)
}
