package scheduler

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// amounts are resources of a pod or a node.
type amounts struct {
	cpu     int64 // thousandths of a core
	memory  int64 // bytes
	storage int64 // bytes of ephemeral storage
	pods    int64
}

func (a *amounts) add(b amounts) {
	a.cpu += b.cpu
	a.memory += b.memory
	a.storage += b.storage
	a.pods += b.pods
}

func (a *amounts) sub(b amounts) {
	a.cpu -= b.cpu
	a.memory -= b.memory
	a.storage -= b.storage
	a.pods -= b.pods
}

// device is an amount of a resource that only some nodes have, such as skerry.dev/i2c-1.
type device struct {
	name   string
	amount int64
}

// port is a host port in use: one protocol and number at one address.
type port struct {
	protocol corev1.Protocol
	number   int32
	address  string // empty: all addresses
}

func (p port) clashes(q port) bool {
	return p.protocol == q.protocol && p.number == q.number &&
		(p.address == q.address || p.address == "" || q.address == "")
}

// requirement is what a pod asks of a node. Pods of one owner share one.
type requirement struct {
	requests amounts
	load     amounts // requests as scores count them: a pod that asks for nothing still weighs something
	devices  []device
	ports    []port
	images   []string
	place    *place
}

// place is the part of a requirement that depends on what a node is, not on what runs there.
type place struct {
	selector    []label
	tolerations []corev1.Toleration

	// candidates are the nodes that satisfy it, as of the cluster's generation.
	candidates []*node
	generation uint64
}

type label struct{ key, value string }

// What a container that requests nothing weighs in scores (kube-scheduler, GetNonzeroRequests).
const (
	defaultCPU    = 100
	defaultMemory = 200 << 20
)

// requirements makes the pods with equal needs share one requirement.
type requirements struct {
	byKey  map[string]*requirement
	places map[string]*place
}

// Above these sizes the tables start anew: they are caches, and workloads come and go.
const (
	maxRequirements = 4096
	maxPlaces       = 64
)

func newRequirements() *requirements {
	return &requirements{byKey: map[string]*requirement{}, places: map[string]*place{}}
}

// of is what a pod requires.
func (t *requirements) of(pod *corev1.Pod) *requirement {
	r := &requirement{requests: amounts{pods: 1}, load: amounts{pods: 1}}
	devices := map[string]int64{}
	r.requests.add(requests(pod, devices))
	r.load.cpu, r.load.memory = r.requests.cpu, r.requests.memory
	if r.load.cpu == 0 {
		r.load.cpu = defaultCPU * int64(len(pod.Spec.Containers))
	}
	if r.load.memory == 0 {
		r.load.memory = defaultMemory * int64(len(pod.Spec.Containers))
	}
	for name, amount := range devices {
		r.devices = append(r.devices, device{name, amount})
	}
	slices.SortFunc(r.devices, func(a, b device) int { return strings.Compare(a.name, b.name) })
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		r.images = append(r.images, c.Image)
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				r.ports = append(r.ports, hostPort(p))
			}
		}
	}

	where, placeKey := placeOf(pod)
	key := fmt.Sprint(r.requests, r.load, r.devices, r.ports, r.images, placeKey)
	if known := t.byKey[key]; known != nil {
		return known
	}
	if len(t.byKey) >= maxRequirements {
		clear(t.byKey)
	}
	if len(t.places) >= maxPlaces {
		clear(t.places)
	}
	if t.places[placeKey] == nil {
		t.places[placeKey] = where
	}
	r.place = t.places[placeKey]
	t.byKey[key] = r
	return r
}

func hostPort(p corev1.ContainerPort) port {
	out := port{protocol: p.Protocol, number: p.HostPort, address: p.HostIP}
	if out.protocol == "" {
		out.protocol = corev1.ProtocolTCP
	}
	if out.address == "0.0.0.0" || out.address == "::" {
		out.address = ""
	}
	return out
}

// noPodNetwork is the taint of a node whose pods get no addresses, which is nothing to a pod that has the node's
// (Kubernetes gives this toleration to the pods of DaemonSets only).
var noPodNetwork = corev1.Toleration{
	Key: corev1.TaintNodeNetworkUnavailable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule,
}

// placeOf reads a pod's selector and tolerations, and a key that equal ones share.
func placeOf(pod *corev1.Pod) (*place, string) {
	p := &place{tolerations: pod.Spec.Tolerations}
	if pod.Spec.HostNetwork {
		p.tolerations = append(slices.Clip(p.tolerations), noPodNetwork)
	}
	for key, value := range pod.Spec.NodeSelector {
		p.selector = append(p.selector, label{key, value})
	}
	if len(p.selector) == 0 && len(p.tolerations) == 0 {
		return p, ""
	}
	slices.SortFunc(p.selector, func(a, b label) int { return strings.Compare(a.key, b.key) })
	var key strings.Builder
	for _, l := range p.selector {
		fmt.Fprintf(&key, "%q=%q ", l.key, l.value)
	}
	for _, t := range p.tolerations {
		fmt.Fprintf(&key, "%q %q %q %q;", t.Key, t.Operator, t.Value, t.Effect)
	}
	return p, key.String()
}

// requests is what a pod asks for: the sum of its containers and sidecars, or what its init containers need
// while they run, whichever is more (k8s.io/component-helpers/resource, PodRequests).
func requests(pod *corev1.Pod, devices map[string]int64) amounts {
	var run, sidecars, start quantities
	for i := range pod.Spec.Containers {
		run.add(pod.Spec.Containers[i].Resources.Requests)
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars.add(c.Resources.Requests)
			start.atLeast(sidecars)
			continue
		}
		var own quantities
		own.plus(sidecars)
		own.add(c.Resources.Requests)
		start.atLeast(own)
	}
	run.plus(sidecars)
	run.atLeast(start)
	run.add(pod.Spec.Overhead)
	for name, amount := range run.devices {
		devices[name] = amount
	}
	return run.amounts
}

// quantities add up resource lists.
type quantities struct {
	amounts
	devices map[string]int64
}

func (q *quantities) add(list corev1.ResourceList) {
	for name, amount := range list {
		switch name {
		case corev1.ResourceCPU:
			q.cpu += amount.MilliValue()
		case corev1.ResourceMemory:
			q.memory += amount.Value()
		case corev1.ResourceEphemeralStorage:
			q.storage += amount.Value()
		case corev1.ResourcePods:
			q.pods += amount.Value()
		default:
			if q.devices == nil {
				q.devices = map[string]int64{}
			}
			q.devices[string(name)] += amount.Value()
		}
	}
}

func (q *quantities) plus(o quantities) {
	q.amounts.add(o.amounts)
	for name, amount := range o.devices {
		if q.devices == nil {
			q.devices = map[string]int64{}
		}
		q.devices[name] += amount
	}
}

func (q *quantities) atLeast(o quantities) {
	q.cpu = max(q.cpu, o.cpu)
	q.memory = max(q.memory, o.memory)
	q.storage = max(q.storage, o.storage)
	for name, amount := range o.devices {
		if q.devices == nil {
			q.devices = map[string]int64{}
		}
		q.devices[name] = max(q.devices[name], amount)
	}
}
