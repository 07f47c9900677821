package sim

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	"github.com/skerry-edge/skerry/edgeagent/network"
	"github.com/skerry-edge/skerry/edgeagent/plan"
	agentreconcile "github.com/skerry-edge/skerry/edgeagent/reconcile"
	"github.com/skerry-edge/skerry/master/nodelink"
	"github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// shells are the loops with their own goroutines, pools and timers, in a bubble of virtual time.
type shells struct {
	t      *testing.T
	world  *World // for its planners and topics only; it does not run
	clock  clock.Source
	broker *bus.Memory
	store  *store.Memory
	ctx    context.Context
	loops  sync.WaitGroup
	nodes  map[string]*fake.Engine
}

// TestShells runs the loops as the daemons do: Run, woken by what arrives and by timers, with work on a pool of
// goroutines. What it shows is that nobody is woken too late or never, and that all end with their context.
func TestShells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		s := &shells{
			t: t, world: New(Options{Seed: 1}), broker: bus.NewMemory(bus.MemoryConfig{}), ctx: ctx,
			clock: func() clock.Now { return clock.Now{Wall: time.Now(), Boot: time.Minute + time.Since(began)} },
			store: store.NewMemory(store.Config{Schema: resource.Schema()}), nodes: map[string]*fake.Engine{},
		}
		s.master()
		for _, name := range []string{"n1", "n2", "n3"} {
			s.agent(name)
		}
		s.within(5*time.Second, "three nodes are Ready", func() bool {
			count := 0
			for rec := range s.store.View().List(resource.Nodes.Kind, "") {
				if ready(s.world.nodeObject(rec)) == corev1.ConditionTrue {
					count++
				}
			}
			return count == 3
		})
		s.deploy("web", 6)
		s.within(5*time.Second, "six pods run", func() bool { return s.running("") == 6 && s.containers("n1") == 2 })

		for _, c := range s.nodes["n1"].Containers() {
			s.nodes["n1"].Kill(c.ID, 1)
		}
		s.within(5*time.Second, "what has died is started again", func() bool { return s.running("") == 6 && s.containers("n1") == 2 })

		s.broker.Cut("n1", true, true)
		took := s.within(33*time.Second, "six pods run elsewhere", func() bool { return s.running("n1") == 6 })
		t.Logf("cut → all pods run elsewhere: %s", took.Round(time.Millisecond))
		s.broker.Cut("n1", false, false)
		s.within(time.Minute, "the old copies are gone", func() bool { return s.containers("n1") == 0 })

		stop()
		s.loops.Wait()
	})
}

// within lets time pass until a condition holds.
func (s *shells) within(d time.Duration, what string, holds func() bool) time.Duration {
	s.t.Helper()
	from := time.Now()
	for !holds() {
		if time.Since(from) > d {
			s.t.Fatalf("not within %s: %s", d, what)
		}
		time.Sleep(10 * time.Millisecond) // of the bubble: the loops run meanwhile
	}
	return time.Since(from)
}

func (s *shells) start(run func(context.Context) error) {
	s.loops.Go(func() {
		if err := run(s.ctx); err != nil {
			s.t.Error(err)
		}
	})
}

func (s *shells) connect(client *bus.Client) *bus.Client {
	if err := client.Connect(); err != nil {
		s.t.Fatal(err)
	}
	return client
}

func (s *shells) master() {
	line := s.broker.Client(bus.ClientConfig{ID: "master"})
	link := nodelink.New(nodelink.Config{
		Store: s.store, Bus: line, Topics: s.world.topics, Run: seal.Run{Number: 1}, Settings: s.world.settings.Settings,
		Cluster: s.world.cluster.Name, Key: s.world.cluster.Keys.Exchange, Sign: s.world.cluster.Sign,
		Clock: s.clock, Rand: rand.Reader, Logger: zerolog.Nop(),
	})
	planners, err := reconcile.New(reconcile.Config{
		Store: s.store, Planners: s.world.planners(s.clock()), Logger: zerolog.Nop(), Clock: s.clock,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(link.Run)
	s.start(planners.Run)
	s.connect(line)
}

func (s *shells) agent(name string) {
	n := &node{w: s.world, name: name, machine: &machine{id: name}, keys: s.world.cluster.NewNode(name)}
	if err := n.join(s.store); err != nil {
		s.t.Fatal(err)
	}
	n.engine = fake.New(fake.Config{Now: s.clock, AnyImage: true, StartTime: 250 * time.Millisecond})
	s.nodes[name] = n.engine
	disk := newAgentDisk()
	var link *masterlink.Link
	pool := agentreconcile.NewPool(2)
	loop, err := agentreconcile.New(agentreconcile.Config{
		Engine: n.engine, Network: noNetwork{}, Disk: disk, Executor: pool, Clock: s.clock,
		Node: func() plan.Node { return plan.Node{Name: name} }, Log: zerolog.Nop(), Changed: func() { link.Wake() },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	client := s.broker.Client(bus.ClientConfig{ID: name, Will: func(c uint64) (string, []byte) { return link.Will(c) }})
	link = masterlink.New(masterlink.Config{
		Bus: client, Topics: s.world.topics, Node: name, Run: seal.Run{Number: 1}, Settings: s.world.settings.Settings,
		LeaderKey: s.world.cluster.Verify(), Box: n.keys.Box(), Keys: n.keys,
		Disk: disk, Local: &local{Reconciler: loop, node: n}, Clock: s.clock, Rand: rand.Reader, Logger: zerolog.Nop(),
	})
	s.start(link.Run)
	s.start(func(ctx context.Context) error {
		defer pool.Close()
		return loop.Run(ctx)
	})
	s.connect(client)
}

func (s *shells) deploy(name string, replicas int32) {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: metav1.NamespaceDefault, Labels: labels, UID: resource.DeriveUID(name), CreationTimestamp: metav1.Now(),
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: template([]string{"forever"}, "app:1", 10)},
		},
	}
	resource.Deployments.Default(d)
	resource.Deployments.PrepareCreate(d)
	g := resource.NewGroup(s.store.View(), time.Now())
	g.Put(resource.Deployments, d, 0, "asked for")
	if _, err := s.store.Commit(s.ctx, g.Changes()); err != nil {
		s.t.Fatal(err)
	}
}

// running are the pods that run and are Ready according to the store, on other nodes than one.
func (s *shells) running(except string) int { return running(s.world, s.store.View(), except) }

// containers are those that run on a node.
func (s *shells) containers(name string) (count int) {
	for _, c := range s.nodes[name].Containers() {
		if c.State == engine.Running {
			count++
		}
	}
	return count
}

// noNetwork gives no pod a network of its own.
type noNetwork struct{}

func (noNetwork) Prepare(context.Context, network.Pod) (path, ip string, err error) {
	return "/host", "", nil
}
func (noNetwork) Release(context.Context, string) error           { return nil }
func (noNetwork) List(context.Context) (map[string]string, error) { return nil, nil }
