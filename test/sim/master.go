package sim

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/controller/deployment"
	"github.com/skerry-edge/skerry/master/controller/garbage"
	"github.com/skerry-edge/skerry/master/controller/namespace"
	nodecontroller "github.com/skerry-edge/skerry/master/controller/node"
	"github.com/skerry-edge/skerry/master/controller/nodekey"
	"github.com/skerry-edge/skerry/master/controller/replicaset"
	"github.com/skerry-edge/skerry/master/nodelink"
	"github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/scheduler"
	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/protocol/clock"
	"github.com/skerry-edge/skerry/protocol/seal"
)

// errCrashed is what a dead process gets from everything that it still touches.
var errCrashed = errors.New("the process has crashed")

// master is one process of the master.
type master struct {
	w       *World
	machine *machine
	run     uint32
	self    seal.Run
	started clock.Now
	dead    bool
	crashIn int // writes until it crashes; 0: it doesn't
	// written says whether the write that it crashes at reaches the disk.
	written bool

	store  *store.Memory
	link   *actor
	runner *actor
	line   *line
}

// planners are those of a master, in the order of the wiring.
func (w *World) planners(start clock.Now) []reconcile.Planner {
	settings := w.options.Settings
	out := []reconcile.Planner{
		namespace.New(),
		nodekey.New(),
		nodecontroller.New(nodecontroller.Config{
			NodeTimeout: settings.Timeout(), SuspectTimeout: w.options.Suspect, Heartbeat: settings.Heartbeat(), Start: start,
		}),
		garbage.New(garbage.Config{}),
		deployment.New(),
		replicaset.New(replicaset.Config{}),
		scheduler.New(scheduler.Config{}),
	}
	if w.options.Broken.Planner != nil {
		for i := range out {
			out[i] = w.options.Broken.Planner(out[i])
		}
	}
	return out
}

// startMaster begins a new epoch on what is on the master's disk.
func (w *World) startMaster() {
	before := w.master
	m := &master{w: w, machine: before.machine, run: before.run + 1}
	m.started = m.machine.now()
	m.store = w.disk.open()
	w.master = m
	w.log("master", "STARTS, epoch %s", m.store.Epoch())

	stopped := func() bool { return m.dead }
	m.link = &actor{name: "nodelink", machine: m.machine, stopped: stopped, woken: true}
	m.runner = &actor{name: "planners", machine: m.machine, stopped: stopped, woken: true}
	m.line = w.newLine("master", m.machine, nil)
	m.self = seal.Run{Number: m.run, Nonce: w.random.Uint64()}
	l := nodelink.New(nodelink.Config{
		Store: &client{m, "nodelink"}, Bus: m.line.client, Topics: w.topics, Run: m.self,
		Cluster: w.cluster.Name, Key: w.cluster.Keys.Exchange, Sign: w.cluster.Sign,
		Master: "master", Settings: w.options.Settings, Clock: m.machine.now, Rand: w.random, Logger: zerolog.Nop(), Wake: m.link.wake,
	})
	m.link.step = l.Step
	r, err := reconcile.New(reconcile.Config{
		Store: &client{m, "planner"}, Planners: w.planners(m.started), Logger: zerolog.Nop(), Clock: m.machine.now, Wake: m.runner.wake,
	})
	if err != nil {
		w.fail("make the runner: %w", err)
		return
	}
	m.runner.step = func(now clock.Now) (clock.Now, error) { return r.Step(now), nil }
}

// crash ends the process; another one starts after a while.
func (m *master) crash(back time.Duration, reboot bool) {
	if m.dead {
		return
	}
	m.dead = true
	m.w.log("master", "CRASHES, reboot=%t, back in %s", reboot, back)
	m.w.close(m.line, 0)
	if m.w.options.Embedded {
		m.w.restartBroker(back)
	}
	m.w.after(back, func() {
		if reboot {
			m.machine.boot()
			m.machine.setWall(0)
		}
		m.w.startMaster()
	})
}

// client is the store as one loop of a master sees it.
type client struct {
	*master
	who string
}

var _ store.Store = (*client)(nil)

func (c *client) View() change.View   { return c.store.View() }
func (c *client) Epoch() change.Epoch { return c.store.Epoch() }
func (c *client) Watch(kind change.Kind, from change.Rev, wake func()) (store.Cursor, error) {
	return c.store.Watch(kind, from, wake)
}

// Commit notes what is acknowledged.
func (c *client) Commit(ctx context.Context, changes []change.Change) (change.Rev, error) {
	if c.dead {
		return 0, errCrashed
	}
	c.w.checkHeard(changes)
	d := c.w.disk
	d.who, d.changes = c.who, changes
	rev, err := c.store.Commit(ctx, changes)
	d.who, d.changes = "", nil
	if err == nil && changes[0].Key.Kind != resource.SeenKind {
		d.acknowledge(changes)
	}
	return rev, err
}
