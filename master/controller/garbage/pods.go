package garbage

import (
	"cmp"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/clock"
)

// pods collects pods, as Kubernetes' podgc does.
type pods struct {
	absent   time.Duration
	maxEnded int

	nodes   map[string]bool
	missing map[string]missing   // nodes that pods name and that don't exist
	ended   map[change.Key]int64 // when they were created, Unix seconds
	adrift  map[change.Key]bool  // being deleted, and on no node
}

// missing is a node that does not exist.
type missing struct {
	deleted bool // it did; nobody has to wait for it
	noticed bool
	since   clock.Now // when this planner noticed it
	idle    bool      // nothing was left to do about its pods
}

func (c *pods) reset() {
	c.nodes = map[string]bool{}
	c.missing = map[string]missing{}
	c.ended = map[change.Key]int64{}
	c.adrift = map[change.Key]bool{}
}

func (c *pods) observe(e change.Event, _ bool) {
	switch e.Key.Kind {
	case resource.Nodes.Kind:
		if e.New.Exists() {
			c.nodes[e.Key.Name] = true
			delete(c.missing, e.Key.Name)
		} else {
			delete(c.nodes, e.Key.Name)
			c.missing[e.Key.Name] = missing{deleted: true}
		}
	case resource.Pods.Kind:
		c.observePod(e)
	}
}

func (c *pods) observePod(e change.Event) {
	delete(c.ended, e.Key)
	delete(c.adrift, e.Key)
	if !e.New.Exists() {
		return
	}
	meta, err := resource.Meta(e.New.Value)
	if err != nil {
		return
	}
	node := resource.PodNodeName(e.New.Value)
	if node != "" && !c.nodes[node] {
		m := c.missing[node]
		m.idle = false
		c.missing[node] = m
	}
	if meta.DeletionTimestamp != nil {
		if node == "" {
			c.adrift[e.Key] = true
		}
		return
	}
	if phase := resource.PodPhase(e.New.Value); phase == corev1.PodSucceeded || phase == corev1.PodFailed {
		c.ended[e.Key] = meta.CreationTimestamp.Unix()
	}
}

func (c *pods) plan(p *plan) {
	for _, key := range slices.SortedFunc(maps.Keys(c.adrift), byKey) {
		if p.full() {
			return
		}
		if !c.remove(p, key, "it is being deleted and on no node") {
			delete(c.adrift, key)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.missing)) {
		if p.full() {
			return
		}
		c.sweep(p, name)
	}
	if excess := len(c.ended) - c.maxEnded; excess > 0 {
		keys := slices.SortedFunc(maps.Keys(c.ended), func(a, b change.Key) int {
			return cmp.Or(cmp.Compare(c.ended[a], c.ended[b]), byKey(a, b))
		})
		for _, key := range keys[:excess] {
			if p.full() {
				return
			}
			c.remove(p, key, "too many pods have ended")
		}
	}
}

// sweep deletes the pods of a node that doesn't exist.
func (c *pods) sweep(p *plan, name string) {
	m := c.missing[name]
	if _, exists := p.view.Get(resource.Nodes.Key("", name)); exists || m.idle {
		return
	}
	if !m.noticed {
		m.noticed, m.since = true, p.now
		c.missing[name] = m
	}
	if until := m.since.Add(c.absent); !m.deleted && !p.now.Reached(until) {
		p.next = clock.Earliest(p.next, until)
		return
	}
	some, written := false, false
	for rec := range p.view.Indexed(resource.Pods.Kind, "spec.nodeName", name) {
		some = true
		if c.remove(p, rec.Key, "its node "+name+" does not exist") {
			written = true
		}
	}
	switch {
	case !some:
		delete(c.missing, name)
	case !written:
		m.idle = true
		c.missing[name] = m
	}
}

// remove deletes a pod without grace, and reports whether that is a write.
func (c *pods) remove(p *plan, key change.Key, reason string) bool {
	rec, ok := p.view.Get(key)
	if !ok {
		return false
	}
	pod, err := resource.As[*corev1.Pod](resource.Pods, rec)
	if err != nil || p.written[key] || !p.open().DeleteNow(resource.Pods, pod, rec.Rev, reason) {
		return false
	}
	return p.claim(key)
}
