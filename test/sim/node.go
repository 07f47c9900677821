package sim

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	"github.com/skerry-edge/skerry/edgeagent/network"
	"github.com/skerry-edge/skerry/edgeagent/plan"
	"github.com/skerry-edge/skerry/edgeagent/reconcile"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

// node is a device: its engine, disk and networks outlive the agents on it.
type node struct {
	w       *World
	name    string
	machine *machine
	boots   int
	off     bool          // without power, until it is back
	ends    int           // of agents and of the machine
	run     seal.Run      // of the newest agent
	said    uint64        // its highest number, when replays are to look new
	died    time.Duration // when the last agent did
	engine  *fake.Engine
	disk    *agentDisk
	keys    *sealtest.Node
	before  []*seal.Box // ends of keys with which it was removed
	nets    map[string]string
	ticker  *actor // the engine's
	book    book
	changed bool // containers may have
	counted bool // running is what runs
	running map[string][]string
	guarded guarded
	beat    time.Duration // when its last heartbeat reached the master
	dozes   bool          // the agent is frozen when the master's next request has reached it, before it has read that

	gone     bool          // no machine has this name any more
	original *node         // whose disk it has a copy of
	cloned   time.Duration // when two machines last had this identity
	health   health
	alias    string // the machine's first name

	agent *agent // nil while there is no process
}

// agent is one process.
type agent struct {
	node    *node
	dead    bool
	frozen  time.Duration // until when, by the right clock
	crashIn int           // touches of the world until it crashes; 0: it doesn't
	written bool          // whether the touch that it crashes at has its effect

	local *local
	link  *actor
	loop  *actor
	line  *line
}

func (w *World) newNode(name string, m *machine) *node {
	m.id = name
	n := &node{w: w, name: name, machine: m, disk: newAgentDisk(), keys: w.cluster.NewNode(name), nets: map[string]string{}, book: newBook()}
	n.newEngine()
	n.newTicker()
	return n
}

func (n *node) newTicker() {
	n.ticker = &actor{name: n.name + " engine", machine: n.machine, stopped: func() bool { return false }, due: forever}
	n.ticker.step = func(clock.Now) (clock.Now, error) {
		n.engine.Tick()
		n.changed, n.counted = true, false
		return n.engine.Next(), nil
	}
}

// containers are those that run, by their pods' uids. They are asked for again only when something may have happened.
func (n *node) containers() map[string][]string {
	if !n.counted {
		n.counted, n.running = true, map[string][]string{}
		for _, c := range n.engine.Containers() {
			if c.State == engine.Running {
				uid := c.Labels[engine.LabelPodUID]
				n.running[uid] = append(n.running[uid], c.ID)
			}
		}
	}
	return n.running
}

// node is the device of this name.
func (w *World) node(name string) *node {
	if n := w.byName[name]; n != nil {
		return n
	}
	panic("there is no node " + name)
}

func (n *node) newEngine() {
	m := n.machine
	n.engine = fake.New(fake.Config{
		Now: m.now, AnyImage: true, StartTime: 250 * time.Millisecond,
		Images: map[string]fake.Image{"slow": {Bytes: 100 << 20, PullTime: 20 * time.Second}},
		Sleep: func(ctx context.Context, d time.Duration) error {
			m.slept += d
			return ctx.Err()
		},
	})
}

// join makes the node's keys known to the cluster. They outlive the node's disk here: joining is not what is tried.
func (n *node) join(s store.Store) error { return n.joinAs(s, n.keys) }

func (n *node) joinAs(s store.Store, keys *sealtest.Node) error {
	_, err := s.Commit(context.Background(), []change.Change{{
		Key: change.Key{Kind: resource.NodeKeyKind, Name: n.name}, Base: change.Any, Reason: "the node joins",
		Value: resource.EncodeNodeKey(resource.NodeKey{Key: keys.Public()}),
	}})
	return err
}

// start begins a run of the agent.
func (n *node) start() {
	w := n.w
	if n.agent != nil {
		return
	}
	n.disk.runs++
	n.run, n.said = seal.Run{Number: n.disk.runs, Nonce: w.random.Uint64()}, 0
	a := &agent{node: n}
	stopped := func() bool { return a.dead }
	frozen := func() time.Duration { return a.frozen }
	a.link = &actor{name: n.name + " link", machine: n.machine, stopped: stopped, frozen: frozen, woken: true}
	a.loop = &actor{name: n.name + " loop", machine: n.machine, stopped: stopped, frozen: frozen, woken: true}
	disk := AgentDisk(n.disk)
	if w.options.Broken.AgentDisk != nil {
		disk = w.options.Broken.AgentDisk(disk)
	}
	disk = &processDisk{disk, a}
	guard := reconcile.Guard(n.engine.Guard())
	if w.options.Broken.Guard != nil {
		guard = w.options.Broken.Guard(n, guard)
	}
	guard = guardOf{guard, a}
	w.log(n.who(), "agent STARTS, run %d", n.disk.runs)
	r, err := reconcile.New(reconcile.Config{
		Engine: &engineOf{n.engine, a}, Network: netOf{a}, Disk: disk, Guard: guard, Executor: executor{a}, Clock: n.machine.now,
		Node: func() plan.Node {
			return plan.Node{Name: n.name, IP: "192.0.2.7", Boot: n.bootID()}
		},
		Log: w.logger(n.who()), Changed: a.link.wake, Wake: a.loop.wake,
	})
	if err != nil {
		w.fail("%s: start the agent: %w", n.name, err)
		return
	}
	a.loop.step = func(now clock.Now) (clock.Now, error) { return r.Step(now), nil }
	a.local = &local{Reconciler: r, node: n}
	var l *masterlink.Link
	a.line = w.newLine(n.name, n.machine, func(connection uint64) (string, []byte) { return l.Will(connection) }, frozen)
	seam := masterlink.Local(a.local)
	if w.options.Broken.Local != nil {
		seam = w.options.Broken.Local(seam)
	}
	l = masterlink.New(masterlink.Config{
		Bus: a.line.client, Topics: w.topics, Node: n.name, Run: n.run,
		LeaderKey: w.cluster.Verify(), Box: n.keys.Box(), Keys: processKeys{n.keys, a}, Revoked: n.keys.RevokedAt,
		BootID: n.bootID(), Settings: message.Settings{HeartbeatMillis: 10_000, TimeoutMillis: 30_000},
		Reconnect: func(nextBroker bool) {
			if !nextBroker { // there is one
				w.after(0, a.line.client.Lose)
			}
		},
		Disk: disk, Local: seam, Clock: n.machine.now, Rand: w.random, Logger: w.logger(n.who()), Wake: a.link.wake,
	})
	a.link.step = l.Step
	n.agent = a
}

func (n *node) bootID() string {
	if n.w.options.Broken.SameBoot {
		return "boot"
	}
	return fmt.Sprintf("%s-boot-%d", n.machine.id, n.boots)
}

// freeze stops the agent's loops for a while, as SIGSTOP does, or a disk that hangs. They go on with what they knew; the
// containers never stop. The broker may notice that nothing is heard any more.
func (n *node) freeze(d time.Duration) {
	a, w := n.agent, n.w
	if a == nil || w.now < a.frozen {
		return
	}
	w.log(n.who(), "agent FROZEN for %s", d)
	a.frozen = w.now + d
	number, _ := a.line.client.Connection()
	if w.chance(0.5) {
		w.after(w.between(15*time.Second, 90*time.Second), func() {
			if w.now < a.frozen && !a.dead {
				w.drop(a.line, number)
				w.after(a.frozen-w.now, a.line.client.Lose)
			}
		})
	}
	w.after(d, func() {
		if !a.dead {
			w.log(n.who(), "agent THAWS")
		}
	})
}

// later has the process do something, which waits while it is frozen.
func (a *agent) later(d time.Duration, do func()) {
	w := a.node.w
	w.after(d, func() {
		if left := a.frozen - w.now; left > 0 && !a.dead {
			a.later(left, do)
			return
		}
		do()
	})
}

// crash ends the agent's process and starts another one after a while.
func (n *node) crash(back time.Duration) {
	if n.agent == nil {
		return
	}
	n.w.log(n.who(), "agent CRASHES, back in %s", back)
	n.kill(0)
	n.back(back, n.start)
}

// back does something after a while, unless something else happens to the agent before.
func (n *node) back(d time.Duration, do func()) {
	n.ends++
	ends := n.ends
	n.w.after(d, func() {
		if n.ends == ends {
			do()
		}
	})
}

// kill ends the agent's process; the broker notices after a while.
func (n *node) kill(noticed time.Duration) {
	if a := n.agent; a != nil {
		a.dead = true
		n.agent, n.died = nil, n.w.now
		if n.original == nil {
			n.w.after(memory+n.w.between(time.Second, 5*time.Second), n.haunt)
		} else {
			n.original.died = n.w.now
		}
		n.w.close(a.line, noticed)
	}
}

// powerCut ends everything on the machine; it comes back after a while, with or without its disk.
func (n *node) powerCut(back time.Duration, losesDisk, losesEngine bool) {
	n.w.log(n.who(), "POWER CUT, back in %s, loses its disk=%t and its engine's=%t", back, losesDisk, losesEngine)
	n.kill(n.w.between(5*time.Second, 6*time.Minute))
	n.engine.Reboot()
	n.guarded = guarded{}
	n.changed, n.counted = true, false
	n.boots++
	n.nets = map[string]string{}
	if losesDisk {
		n.disk = newAgentDisk()
		n.book.listed, n.book.position = map[string]*corev1.Pod{}, message.Position{}
	}
	if losesEngine {
		n.newEngine()
		n.counted = false
	}
	n.off = true
	n.back(back, func() {
		n.off = false
		n.machine.boot()
		n.engine.Reboot() // by the new boot clock
		n.start()
		n.w.after(n.w.between(0, time.Minute), func() { n.machine.setWall(0) })
	})
}

// touch is every effect that an agent has on its machine: it may crash there.
func (a *agent) touch(what string, do func() error) error {
	if a.dead {
		return errCrashed
	}
	if a.crashIn > 0 {
		if a.crashIn--; a.crashIn == 0 {
			if a.written {
				_ = do() // nobody is told whether it worked
			}
			a.node.w.log(a.node.who(), "dies at: %s", what)
			a.node.crash(a.node.w.between(100*time.Millisecond, 20*time.Second))
			return errCrashed
		}
	}
	return do()
}

// local is the node as the master's link sees it.
type local struct {
	*reconcile.Reconciler
	node *node
}

// Node is what the wiring of an agent says of the machine.
func (l *local) Node() []byte {
	room := corev1.ResourceList{
		corev1.ResourceCPU:    apiresource.MustParse("4"),
		corev1.ResourceMemory: apiresource.MustParse("1Gi"),
		corev1.ResourcePods:   apiresource.MustParse("110"),
	}
	object := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
			corev1.LabelHostname: l.node.name, corev1.LabelArchStable: "arm64", corev1.LabelOSStable: "linux",
		}},
		Status: corev1.NodeStatus{
			Capacity: room, Allocatable: room,
			NodeInfo: corev1.NodeSystemInfo{BootID: l.node.bootID(), Architecture: "arm64", OperatingSystem: "linux"},
		},
	}
	encoded, err := object.Marshal()
	if err != nil {
		l.node.w.fail("encode a node: %w", err)
	}
	return encoded
}

// Readings are always the same: they are for people.
func (l *local) Readings() message.Readings {
	return message.Readings{CPUMilli: 70, MemoryKiB: 100 << 10}
}

// netOf is the network of the agent's machine.
type netOf struct{ a *agent }

func (n netOf) Prepare(_ context.Context, pod network.Pod) (path, ip string, err error) {
	if pod.Host {
		return "/host", "", nil
	}
	err = n.a.touch("prepare a network", func() error {
		n.a.node.nets[pod.UID] = "10.0.0.9"
		return nil
	})
	return "/net/" + pod.UID, "10.0.0.9", err
}

func (n netOf) Release(_ context.Context, uid string) error {
	return n.a.touch("release a network", func() error {
		delete(n.a.node.nets, uid)
		return nil
	})
}

func (n netOf) List(context.Context) (map[string]string, error) {
	return maps.Clone(n.a.node.nets), nil
}
