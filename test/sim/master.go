package sim

import (
	"context"
	"errors"
	"time"

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
	"github.com/skerry-edge/skerry/protocol/message"
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
	frozen  time.Duration // until when, by the right clock
	missed  time.Duration // for how long it was, at most
	crashIn int           // writes until it crashes; 0: it doesn't
	// written says whether the write that it crashes at reaches the disk.
	written bool

	store  *store.Memory
	link   *actor
	runner *actor
	line   *line
}

// planners are those of a master, in the order of the wiring.
func (w *World) planners(start clock.Now) []reconcile.Planner {
	settings := w.settings
	out := []reconcile.Planner{
		namespace.New(),
		nodekey.New(),
		nodecontroller.New(nodecontroller.Config{
			NodeTimeout: settings.Timeout(), SuspectTimeout: settings.suspect, Heartbeat: settings.Heartbeat(), Start: start,
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
	if w.options.Broken.Opened != nil {
		w.options.Broken.Opened(w)
	}
	m.store = w.disk.open()
	w.master = m
	w.noteSettings(w.settings.Settings)
	w.log("master", "STARTS, epoch %s, heartbeats every %s, node-timeout %s, suspect-timeout %s", m.store.Epoch(), w.settings.Heartbeat(),
		w.settings.Timeout(), w.settings.suspect)
	w.facts.reset(w)

	stopped := func() bool { return m.dead }
	frozen := func() time.Duration { return m.frozen }
	m.link = &actor{name: "nodelink", machine: m.machine, stopped: stopped, frozen: frozen, woken: true}
	m.runner = &actor{name: "planners", machine: m.machine, stopped: stopped, frozen: frozen, woken: true}
	m.line = w.newLine("master", m.machine, nil, frozen)
	m.self = seal.Run{Number: m.run, Nonce: w.random.Uint64()}
	link := &client{master: m, who: "nodelink", first: w.options.Broken.FirstLeader != nil && w.options.Broken.FirstLeader(w)}
	l := nodelink.New(nodelink.Config{
		Store: store.Store(link), Bus: m.line.client, Topics: w.topics, Run: m.self,
		Cluster: w.cluster.Name, Key: w.cluster.Keys.Exchange, Sign: w.cluster.Sign,
		Master: "master", Settings: w.settings.Settings, Clock: m.machine.now, Rand: w.random, Logger: w.logger("master"), Wake: m.link.wake,
		Advance: m.advance,
	})
	m.link.step = l.Step
	r, err := reconcile.New(reconcile.Config{
		Store: &client{master: m, who: "planner"}, Planners: w.planners(w.startOf(m)), Logger: w.logger("master"), Clock: m.machine.now, Wake: m.runner.wake,
	})
	if err != nil {
		w.fail("make the runner: %w", err)
		return
	}
	m.runner.step = func(now clock.Now) (clock.Now, error) { return r.Step(now), nil }
}

// settings are what the user can change of a master that is started again.
type settings struct {
	message.Settings
	suspect time.Duration
}

// choices are those of users who can wait, and of some who can't.
var choices = []settings{
	{message.Settings{HeartbeatMillis: 10_000, TimeoutMillis: 30_000}, 15 * time.Second},
	{message.Settings{HeartbeatMillis: 5_000, TimeoutMillis: 20_000}, 10 * time.Second},
	{message.Settings{HeartbeatMillis: 20_000, TimeoutMillis: 60_000}, 30 * time.Second},
	{message.Settings{HeartbeatMillis: 2_000, TimeoutMillis: 6_000}, 4 * time.Second},
}

// startOf is when a master began to lead, as its node controller is told.
func (w *World) startOf(m *master) clock.Now {
	if w.options.Broken.NoFreshTimeout {
		return clock.Now{}
	}
	return m.started
}

// down reports whether nobody answers at the API.
func (m *master) down() bool { return m.dead || m.w.now < m.frozen }

// freeze stops the process' loops for a while, as SIGSTOP does; they go on with what they knew.
func (m *master) freeze(d time.Duration) {
	if m.down() || m.w.options.Embedded { // an embedded broker would stand still, too: that is a crash without an end
		return
	}
	m.w.log("master", "FROZEN for %s", d)
	m.frozen, m.missed = m.w.now+d, max(m.missed, d)
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
	who   string
	first bool // the next answer of Epoch is that of a master before which there was none
}

var _ store.Store = (*client)(nil)

func (c *client) View() change.View { return c.store.View() }
func (c *client) Watch(kind change.Kind, from change.Rev, wake func()) (store.Cursor, error) {
	return c.store.Watch(kind, from, wake)
}

// Epoch is store.Store.
func (c *client) Epoch() change.Epoch {
	if c.first {
		c.first = false
		return change.Epoch{Start: 1}
	}
	return c.store.Epoch()
}

// Commit notes what is acknowledged.
func (c *client) Commit(ctx context.Context, changes []change.Change) (change.Rev, error) {
	if c.dead {
		return 0, errCrashed
	}
	if c.w.options.Broken.Commit != nil {
		if changes = c.w.options.Broken.Commit(c.w, c.who, changes); len(changes) == 0 {
			return c.store.View().Rev(), nil
		}
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
