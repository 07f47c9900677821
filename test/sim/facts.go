package sim

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// facts are what the store says of pods, Deployments and Nodes and since when, kept up with every commit, so that nobody
// decodes the world to look at it.
type facts struct {
	pods        map[change.Key]*podFact
	order       []change.Key // of the pods, as they came
	deployments map[string]*deploymentFact
	named       []string
	nodes       map[string]*nodeFact
}

// podFact is a pod. Times are by the right clock.
type podFact struct {
	uid, name, app, node string
	controlled           bool
	single               *singlePod // of its slot there must be one at most; nil: there may be several
	selects              string     // the node that it can run on only; empty: any
	program              string     // what its container runs
	grace                time.Duration
	bound, deleted       time.Duration // since when; 0: it isn't
	ended, ready         bool
}

type deploymentFact struct {
	replicas int
	since    time.Duration // of the last change of its spec
	gen      int64
	single   bool
}

type nodeFact struct {
	ready    corev1.ConditionStatus
	cordoned bool
	open     time.Duration // since when it is Ready and not cordoned; 0: it isn't
}

// reset reads the store anew, as after a start of the master.
func (f *facts) reset(w *World) {
	*f = facts{pods: map[change.Key]*podFact{}, deployments: map[string]*deploymentFact{}, nodes: map[string]*nodeFact{}}
	view := w.master.store.View()
	w.resetSlots(view)
	for _, kind := range []change.Kind{resource.Nodes.Kind, resource.Deployments.Kind, resource.Pods.Kind} {
		for rec := range view.List(kind, "") {
			f.follow(w, []change.Event{{Rev: rec.Rev, Key: rec.Key, New: rec}})
		}
	}
}

// follow takes in what a commit changed.
func (f *facts) follow(w *World, events []change.Event) {
	for _, e := range events {
		switch e.Key.Kind {
		case resource.Pods.Kind:
			f.followPod(w, e)
		case resource.Nodes.Kind:
			f.followNode(w, e)
		case resource.Deployments.Kind:
			f.followDeployment(w, e)
		case resource.SlotKind:
			w.followSlot(e)
		}
	}
}

func (f *facts) followPod(w *World, e change.Event) {
	if !e.New.Exists() {
		delete(f.pods, e.Key)
		return
	}
	p := w.pod(e.New)
	w.singles.followPod(p)
	fact := f.pods[e.Key]
	if fact == nil {
		f.order = append(f.order, e.Key)
	}
	if fact == nil || fact.uid != string(p.UID) {
		c := p.Spec.Containers[0]
		fact = &podFact{uid: string(p.UID), name: p.Name, app: p.Labels["app"], controlled: metav1.GetControllerOfNoCopy(p) != nil, selects: p.Spec.NodeSelector[corev1.LabelHostname]}
		if len(c.Args) > 0 {
			fact.program = c.Args[0]
		}
		if g := p.Spec.TerminationGracePeriodSeconds; g != nil {
			fact.grace = time.Duration(*g) * time.Second
		}
		f.pods[e.Key] = fact
	}
	fact.single = w.singles.pods[fact.uid]
	if p.Spec.NodeName != fact.node {
		fact.node, fact.bound = p.Spec.NodeName, w.now
	}
	if p.DeletionTimestamp != nil && fact.deleted == 0 {
		fact.deleted = w.now
	}
	c := resource.PodCondition(p, corev1.PodReady)
	fact.ready = p.Status.Phase == corev1.PodRunning && c != nil && c.Status == corev1.ConditionTrue
	fact.ended = resource.Ended(p)
}

func (f *facts) followNode(w *World, e change.Event) {
	if !e.New.Exists() {
		delete(f.nodes, e.Key.Name)
		return
	}
	object, fact := w.nodeObject(e.New), f.nodes[e.Key.Name]
	if fact == nil {
		fact = &nodeFact{}
		f.nodes[e.Key.Name] = fact
	}
	fact.ready, fact.cordoned = ready(object), object.Spec.Unschedulable
	switch isOpen := fact.ready == corev1.ConditionTrue && !fact.cordoned && len(object.Spec.Taints) == 0; {
	case !isOpen:
		fact.open = 0
	case fact.open == 0:
		fact.open = w.now + 1
	}
}

func (f *facts) followDeployment(w *World, e change.Event) {
	name := e.Key.Name
	if !e.New.Exists() {
		delete(f.deployments, name)
		if o := w.singles.owners["deployment/"+name]; o != nil {
			o.ask(0)
		}
		return
	}
	d, err := resource.As[*appsv1.Deployment](resource.Deployments, e.New)
	if err != nil {
		w.fail("%w", err)
		return
	}
	fact := f.deployments[name]
	if fact == nil {
		fact = &deploymentFact{since: w.now}
		f.deployments[name] = fact
		f.named = append(f.named, name)
	}
	fact.single = d.Spec.Template.Annotations[resource.PartitionPolicy] == resource.PolicyStop
	if fact.gen != d.Generation {
		fact.gen, fact.since = d.Generation, w.now
	}
	fact.replicas = int(*d.Spec.Replicas)
	if fact.single {
		w.singles.owner("deployment/" + name).ask(fact.replicas)
	}
}

// each calls do with every pod, in the order of their making, and forgets the order of those that are gone.
func (f *facts) each(do func(*podFact)) {
	kept := f.order[:0]
	seen := map[change.Key]bool{}
	for _, key := range f.order {
		if p := f.pods[key]; p != nil && !seen[key] {
			seen[key] = true
			kept = append(kept, key)
			do(p)
		}
	}
	f.order = kept
}

// eachDeployment is each, of Deployments.
func (f *facts) eachDeployment(do func(string, *deploymentFact)) {
	kept := f.named[:0]
	seen := map[string]bool{}
	for _, name := range f.named {
		if d := f.deployments[name]; d != nil && !seen[name] {
			seen[name] = true
			kept = append(kept, name)
			do(name, d)
		}
	}
	f.named = kept
}
