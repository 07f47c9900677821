package scheduler

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/master/resource"
)

// Words of kube-scheduler for why a node does not take a pod.
const (
	whyCordoned = "node(s) were unschedulable"
	whySelector = "node(s) didn't match Pod's node affinity/selector"
	whyPorts    = "node(s) didn't have free ports for the requested pod ports"
	whyPods     = "Too many pods"
	noNodes     = "no nodes available to schedule pods"
)

// admits says why a node can't be the place, whatever runs there; empty when it can. The order is that of
// kube-scheduler's plugins: the first that objects is named.
func (p *place) admits(n *node) string {
	if n.cordoned && !p.bears(cordon) {
		return whyCordoned
	}
	taint := resource.Untolerated(p.tolerations, n.taints, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute)
	if taint != nil {
		return fmt.Sprintf("node(s) had untolerated taint {%s: %s}", taint.Key, taint.Value)
	}
	for _, l := range p.selector {
		if value, ok := n.labels[l.key]; !ok || value != l.value {
			return whySelector
		}
	}
	return ""
}

var cordon = corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}

func (p *place) bears(taint corev1.Taint) bool {
	return resource.Untolerated(p.tolerations, []corev1.Taint{taint}, taint.Effect) == nil
}

// fits reports whether a node has what a pod needs. As in Kubernetes, what a pod doesn't ask for is not held
// against it, even where the node has promised too much.
func (r *requirement) fits(n *node) bool {
	free := n.allocatable
	free.sub(n.requested)
	if free.pods < r.requests.pods ||
		r.requests.cpu > 0 && free.cpu < r.requests.cpu ||
		r.requests.memory > 0 && free.memory < r.requests.memory ||
		r.requests.storage > 0 && free.storage < r.requests.storage {
		return false
	}
	for _, d := range r.devices {
		if d.amount > 0 && n.offers[d.name]-n.used[d.name] < d.amount {
			return false
		}
	}
	return r.portsFree(n)
}

func (r *requirement) portsFree(n *node) bool {
	for _, want := range r.ports {
		if slices.ContainsFunc(n.ports, want.clashes) {
			return false
		}
	}
	return true
}

// lacks names everything that keeps a node from taking the pod; empty when it fits.
func (r *requirement) lacks(n *node) []string {
	if !r.portsFree(n) {
		return []string{whyPorts}
	}
	free := n.allocatable
	free.sub(n.requested)
	var out []string
	if free.pods < r.requests.pods {
		out = append(out, whyPods)
	}
	short := func(name string, wanted, free int64) {
		if wanted > 0 && free < wanted {
			out = append(out, "Insufficient "+name)
		}
	}
	short("cpu", r.requests.cpu, free.cpu)
	short("memory", r.requests.memory, free.memory)
	short("ephemeral-storage", r.requests.storage, free.storage)
	for _, d := range r.devices {
		short(d.name, d.amount, n.offers[d.name]-n.used[d.name])
	}
	return out
}

// explain says why no node takes the pod, in kube-scheduler's words and order (framework.FitError).
func (c *cluster) explain(r *requirement) string {
	if len(c.order) == 0 {
		return noNodes
	}
	count := map[string]int{}
	for _, n := range c.order {
		if why := r.place.admits(n); why != "" {
			count[why]++
			continue
		}
		for _, why := range r.lacks(n) {
			count[why]++
		}
	}
	reasons := make([]string, 0, len(count))
	for why, n := range count {
		reasons = append(reasons, fmt.Sprintf("%d %s", n, why))
	}
	slices.Sort(reasons)
	return fmt.Sprintf("0/%d nodes are available: %s.", len(c.order), strings.Join(reasons, ", "))
}
