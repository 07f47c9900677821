// Package controller_test runs all planners together, as the master does, against nodes that do at once what
// they are told.
package controller_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/controller/deployment"
	"github.com/skerry-edge/skerry/master/controller/garbage"
	"github.com/skerry-edge/skerry/master/controller/namespace"
	"github.com/skerry-edge/skerry/master/controller/node"
	"github.com/skerry-edge/skerry/master/controller/replicaset"
	"github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/master/reconcile/plantest"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/scheduler"
	"github.com/skerry-edge/skerry/protocol/clock"
)

func planners(start clock.Now) []reconcile.Planner {
	return []reconcile.Planner{
		namespace.New(),
		node.New(node.Config{NodeTimeout: 30 * time.Second, SuspectTimeout: 15 * time.Second, Heartbeat: 10 * time.Second, Start: start}),
		garbage.New(garbage.Config{}),
		deployment.New(),
		replicaset.New(replicaset.Config{}),
		scheduler.New(scheduler.Config{}),
	}
}

// cluster is a world with all planners and with nodes that may be cut off.
type cluster struct {
	*plantest.World
	nodes  []string
	silent map[string]bool
}

func newCluster(t *testing.T, nodes ...string) *cluster {
	w := plantest.New(t)
	c := &cluster{World: w, silent: map[string]bool{}}
	w.Commit(namespace.Seed(w.Store.View(), w.Now, 6443)...)
	for _, p := range planners(w.Now) {
		w.Add(p)
	}
	for _, text := range nodes {
		n := plantest.Node(text)
		n.Status.Conditions = nil
		c.nodes = append(c.nodes, n.Name)
		w.Put(n)
	}
	c.pass(time.Second)
	return c
}

// pass lets time pass in seconds; in each, nodes heartbeat and agents and planners act until all is done.
func (c *cluster) pass(d time.Duration) {
	c.T.Helper()
	for range int(d / time.Second) {
		c.Advance(time.Second)
		link := resource.Seen{HeardBoot: 1, Online: true, ProofBoot: c.Now.Boot}
		c.Commit(change.Change{Key: change.Key{Kind: resource.SeenKind, Name: resource.LinkName}, Base: change.Any, Value: resource.EncodeSeen(link)})
		for _, name := range c.nodes {
			if !c.silent[name] {
				seen := resource.Seen{HeardBoot: c.Now.Boot, HeardWall: c.Now.Wall.UnixNano(), Online: true}
				c.Commit(change.Change{Key: change.Key{Kind: resource.SeenKind, Name: name}, Base: change.Any, Value: resource.EncodeSeen(seen)})
			}
		}
		for {
			c.Settle()
			c.overcommitted()
			if c.Agents(func(p *corev1.Pod) bool { return c.silent[p.Spec.NodeName] }) == 0 {
				break
			}
		}
	}
}

// overcommitted checks that no node has promised more CPU than it has.
func (c *cluster) overcommitted() {
	c.T.Helper()
	free := map[string]int64{}
	for _, n := range plantest.List[*corev1.Node](c.World, resource.Nodes) {
		free[n.Name] = n.Status.Allocatable.Cpu().MilliValue()
	}
	for _, p := range c.pods() {
		if _, exists := free[p.Spec.NodeName]; !exists || resource.Ended(p) {
			continue
		}
		free[p.Spec.NodeName] -= p.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
		if free[p.Spec.NodeName] < 0 {
			c.T.Fatalf("%s is over-committed", p.Spec.NodeName)
		}
	}
}

func (c *cluster) pods() []*corev1.Pod { return plantest.List[*corev1.Pod](c.World, resource.Pods) }

// running counts the ready pods by node, of those that an image, if any, is run by.
func (c *cluster) running(image string) map[string]int {
	out := map[string]int{}
	for _, p := range c.pods() {
		ready := resource.PodCondition(p, corev1.PodReady)
		if ready != nil && ready.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil &&
			(image == "" || p.Spec.Containers[0].Image == image) {
			out[p.Spec.NodeName]++
		}
	}
	return out
}

// quiet checks that nothing is left to do, also for planners that start now.
func (c *cluster) quiet() {
	c.T.Helper()
	for _, p := range planners(c.Now) {
		if p.Name() == "node" {
			continue // a new one gives the nodes another time-out
		}
		if lines := c.Again(p); len(lines) != 0 {
			c.T.Fatalf("%s has something to do: %v", p.Name(), lines)
		}
	}
}

func want(t *testing.T, what string, got map[string]int, pods string) {
	t.Helper()
	if fmt.Sprint(got) != pods {
		t.Errorf("%s: %v, not %s", what, got, pods)
	}
}

// The story of the first cluster: roll out, lose a node, get it back, roll again, take everything down.
func TestLifeOfADeployment(t *testing.T) {
	c := newCluster(t, "n1", "n2", "n3")
	c.Put(plantest.Deployment("web 6"), plantest.Pod("single"))
	c.pass(time.Second)
	want(t, "rolled out", c.running(""), "map[n1:3 n2:2 n3:2]")
	c.quiet()

	uid := plantest.Get[*corev1.Pod](c.World, resource.Pods, "default", "single").UID
	c.silent["n1"] = true
	c.pass(29 * time.Second)
	want(t, "not yet lost", c.running(""), "map[n1:3 n2:2 n3:2]")
	c.pass(time.Second)
	if got := c.running(""); got["n1"] != 0 || got["n2"]+got["n3"] != 7 {
		t.Errorf("lost: %v", got)
	}
	if p := plantest.Get[*corev1.Pod](c.World, resource.Pods, "default", "single"); p.UID == uid || p.Spec.NodeName == "n1" {
		t.Errorf("the bare pod was not moved: %s on %s", p.UID, p.Spec.NodeName)
	}
	c.quiet()

	c.silent["n1"] = false
	c.pass(time.Second)
	before := c.running("busybox")
	plantest.Update(c.World, resource.Deployments, "default", "web", func(d *appsv1.Deployment) {
		d.Generation++
		d.Spec.Template.Spec.Containers[0].Image = "nginx"
	})
	c.pass(time.Second)
	want(t, "rolled again", c.running("nginx"), "map[n1:2 n2:2 n3:2]")
	if after := c.running("busybox"); after["n1"]+after["n2"]+after["n3"] != 1 {
		t.Errorf("of the old pods %v became %v", before, after)
	}
	c.quiet()

	c.Ask(resource.Deployments, "default", "web")
	c.Ask(resource.Pods, "default", "single")
	c.pass(time.Second)
	if pods, sets := c.pods(), plantest.List[*appsv1.ReplicaSet](c.World, resource.ReplicaSets); len(pods)+len(sets) != 0 {
		t.Errorf("left: %d pods, %d sets", len(pods), len(sets))
	}
	c.pass(2 * time.Hour)
	if n := c.Store.View().Count(resource.Events.Kind); n != 0 {
		t.Errorf("%d events after two hours", n)
	}
	c.quiet()
}

// A namespace goes with everything in it, while its deployment would like to go on.
func TestDeletedNamespace(t *testing.T) {
	c := newCluster(t, "n1", "n2")
	demo := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	resource.Namespaces.PrepareCreate(demo)
	d := plantest.Deployment("web 4")
	d.Namespace = "demo"
	c.Put(demo, d)
	c.pass(time.Second)
	want(t, "rolled out", c.running(""), "map[n1:2 n2:2]")
	c.Ask(resource.Namespaces, "", "demo")
	c.pass(time.Second)
	if c.Has(resource.Namespaces, "", "demo") || len(c.pods()) != 0 {
		t.Errorf("left: %d pods", len(c.pods()))
	}
	c.quiet()
}

// The pods of a deleted node are replaced at once.
func TestDeletedNode(t *testing.T) {
	c := newCluster(t, "n1", "n2")
	c.Put(plantest.Deployment("web 4"))
	c.pass(time.Second)
	c.silent["n1"] = true
	c.Delete(resource.Nodes, "", "n1")
	c.nodes = c.nodes[1:]
	c.pass(time.Second)
	want(t, "after", c.running(""), "map[n2:4]")
	c.quiet()
}

// Whatever happens to nodes and workloads, no node is ever over-committed, and once all nodes are heard again
// every deployment has its pods.
func TestAnyTroubleHeals(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 4))
		c := newCluster(t, "n1 cpu=2", "n2 cpu=2", "n3 cpu=2", "n4 cpu=2")
		for i := range 3 {
			d := plantest.Deployment(fmt.Sprintf("web%d 3", i))
			d.Spec.Template.Spec.Containers[0].Resources.Requests = plantest.Pod("x cpu=250m").Spec.Containers[0].Resources.Requests
			c.Put(d)
		}
		for range 60 {
			name := c.nodes[rng.IntN(len(c.nodes))]
			d := fmt.Sprintf("web%d", rng.IntN(3))
			switch rng.IntN(7) {
			case 0:
				c.silent[name] = true
			case 1:
				c.silent[name] = false
			case 2:
				plantest.Update(c.World, resource.Nodes, "", name, func(n *corev1.Node) { n.Spec.Unschedulable = !n.Spec.Unschedulable })
			case 3:
				plantest.Update(c.World, resource.Deployments, "default", d, func(d *appsv1.Deployment) {
					d.Generation++
					d.Spec.Template.Spec.Containers[0].Image = fmt.Sprintf("v%d", rng.IntN(3))
				})
			case 4:
				plantest.Update(c.World, resource.Deployments, "default", d, func(d *appsv1.Deployment) {
					d.Generation++
					n := rng.Int32N(8)
					d.Spec.Replicas = &n
				})
			case 5:
				if pods := c.pods(); len(pods) > 0 {
					c.Ask(resource.Pods, "default", pods[rng.IntN(len(pods))].Name)
				}
			}
			c.pass(time.Duration(rng.IntN(20)) * time.Second)
		}
		clear(c.silent)
		for _, name := range c.nodes {
			plantest.Update(c.World, resource.Nodes, "", name, func(n *corev1.Node) { n.Spec.Unschedulable = false })
		}
		c.pass(2 * time.Second)
		for _, d := range plantest.List[*appsv1.Deployment](c.World, resource.Deployments) {
			if s := d.Status; s.AvailableReplicas != *d.Spec.Replicas || s.UpdatedReplicas != *d.Spec.Replicas || s.Replicas != *d.Spec.Replicas {
				t.Fatalf("seed %d: %s wants %d and has %+v", seed, d.Name, *d.Spec.Replicas, s)
			}
		}
		c.quiet()
	}
}
