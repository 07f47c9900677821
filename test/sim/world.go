package sim

import (
	"container/heap"
	"fmt"
	"math/rand"
	"slices"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	"github.com/skerry-edge/skerry/edgeagent/reconcile"
	"github.com/skerry-edge/skerry/master/change"
	planners "github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
	"github.com/skerry-edge/skerry/protocol/message"
	"github.com/skerry-edge/skerry/protocol/seal/sealtest"
)

// Options say what a World is made of.
type Options struct {
	Seed  int64
	Nodes int
	Pods  int // that are asked for before anything happens
	// Settings and Suspect are the master's; zero means the defaults of 10 s, 30 s and 15 s.
	Settings message.Settings
	Suspect  time.Duration
	// Embedded makes the broker die with the master's process, and forget what it retained.
	Embedded bool
	// Skewed lets the clocks of the machines run up to 5 % fast or slow, at another rate after each boot.
	Skewed bool
	// Limits makes the clock of the master 5 % fast and all others 5 % slow, which is the worst that permits are made for.
	Limits bool
	// Local means that only nodes have faults: the master, the broker and the network between them are well, so that what
	// the documents promise of a lost node can be held against the clock.
	Local bool
	// Permits means that most of what the user runs must be single, and that what permits have to fear comes more often.
	Permits bool
	Broken  Broken
}

// Broken replaces parts by ones that are wrong, to see that the world notices. A nil function leaves its part
// alone.
type Broken struct {
	AgentDisk func(AgentDisk) AgentDisk
	Local     func(masterlink.Local) masterlink.Local
	Planner   func(planners.Planner) planners.Planner
	// MasterDisk reports whether a batch that is to be kept is kept.
	MasterDisk func() bool
	// Replays makes what the broker says again look new.
	Replays bool
	// Packet changes what is delivered.
	Packet func(*World, bus.Packet) bus.Packet
	// Connected is called when somebody has connected to the broker.
	Connected func(*World, *line)
	// NoFreshTimeout lets the node controller believe that its master has led for ever.
	NoFreshTimeout bool
	// OldOrders makes the desired states that the broker says again look newer than what the node has.
	OldOrders bool
	// Guard is the machine's, as its agent sees it.
	Guard func(*node, reconcile.Guard) reconcile.Guard
	// GuardForgets makes the guard forget its deadline when it crashes.
	GuardForgets bool
	// SameBoot makes all boots of all machines look like one.
	SameBoot bool
	// Commit changes what is written to the store; what it leaves out is acknowledged.
	Commit func(w *World, who string, changes []change.Change) []change.Change
	// FirstLeader lets a master believe that nobody has led before.
	FirstLeader func(w *World) bool
	// Opened changes what is on the master's disk when it starts.
	Opened func(*World)
}

// World is a cluster in virtual time.
type World struct {
	options Options
	random  *rand.Rand
	now     time.Duration // since the world's beginning, by a clock that is right
	queue   queue
	events  uint64 // that were ever put into the queue
	trace   trace
	failure error
	calm    bool          // the faults have ended
	hangs   time.Duration // until when the master hears nothing, though it runs and is connected

	topics    protocol.Topics
	cluster   sealtest.Cluster
	bus       *bus.Memory
	weather   weather
	recording recording
	lines     []*line
	newest    map[string]*line // of each client
	holder    map[string]*line // whose connection the broker takes for a client's
	brokerUp  time.Duration    // from when on the broker can be reached

	disk     *masterDisk
	settings settings // of the master that runs, or will
	master   *master  // never nil; dead between two of them
	nodes    []*node
	clones   []*node // machines with a copy of another's disk
	former   []*node // names that machines have given up
	byName   map[string]*node
	user     *user
	facts    facts
	watched  watched
	renamed  int

	isCut map[string]int // clients whose link is cut, by the number of the cut
	sent  map[string]int // packets by channel
	flips map[string]int // how often a node became Unknown

	singles    singles
	longest    time.Duration // of the permits of all masters so far
	slowest    time.Duration // of their heartbeat intervals
	backups    []backup
	restores   int
	restoredAt time.Duration // when the master's store went back to what it was before

	acting []*actor // what actors returned last, to save the memory
}

// New makes a world in which everything has just started.
func New(options Options) *World {
	if options.Settings.HeartbeatMillis == 0 {
		options.Settings = message.Settings{HeartbeatMillis: 10_000, TimeoutMillis: 30_000}
	}
	if options.Suspect == 0 {
		options.Suspect = 15 * time.Second
	}
	topics, err := protocol.NewTopics("default")
	if err != nil {
		panic(err) // the name is a constant
	}
	w := &World{
		options: options, settings: settings{options.Settings, options.Suspect},
		byName: map[string]*node{}, newest: map[string]*line{}, holder: map[string]*line{}, watched: watched{owed: map[string]time.Duration{}},
		random:  rand.New(rand.NewSource(options.Seed)),
		topics:  topics,
		cluster: sealtest.NewCluster("default"),
		bus:     bus.NewMemory(bus.MemoryConfig{Held: true, Queue: 1 << 16}),
		isCut:   map[string]int{},
		sent:    map[string]int{},
		flips:   map[string]int{},
		singles: newSingles(), restoredAt: -time.Hour,
	}
	w.disk = newMasterDisk(w)
	w.master = &master{w: w, machine: w.newMachine(), dead: true}
	w.user = newUser(w)
	w.startMaster()
	for i := range options.Nodes {
		n := w.newNode(fmt.Sprintf("n%d", i+1), w.newMachine())
		w.nodes, w.byName[n.name] = append(w.nodes, n), n
		if err := n.join(&client{master: w.master, who: "joining"}); err != nil {
			w.fail("%s joins: %w", n.name, err)
		}
		n.start()
	}
	w.after(w.glance(), w.watch)
	return w
}

// Failure is the first invariant that was broken; nil when all hold.
func (w *World) Failure() error { return w.failure }

// Trace is everything that has happened, a line each.
func (w *World) Trace() []byte { return w.trace.lines }

// fail notes a broken invariant; the world stops at the first.
func (w *World) fail(format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf("at %s: %w", w.now, fmt.Errorf(format, args...))
		w.log("BROKEN", "%v", w.failure)
	}
}

// maxRounds bounds what may happen at one instant: more is a loop that waits for nothing.
const maxRounds = 5000

// Run lets d pass. It reports false when an invariant was broken.
func (w *World) Run(d time.Duration) bool {
	end := w.now + d
	for w.failure == nil {
		for rounds := 0; w.round(); rounds++ {
			if rounds == maxRounds {
				w.fail("time stands still: after %d rounds there is still something to do at once", rounds)
			}
			if w.failure != nil {
				return false
			}
		}
		next := w.next()
		if next > end {
			w.now = end
			return true
		}
		w.now = next
	}
	return false
}

// RunUntil lets time pass, at most d, until holds.
func (w *World) RunUntil(d time.Duration, holds func() bool) bool {
	const glance = 10 * time.Millisecond
	for end := w.now + d; w.failure == nil && w.now < end; {
		if holds() {
			return true
		}
		w.Run(max(glance, min(w.next(), end)-w.now))
	}
	return w.failure == nil && holds()
}

// round does all that is due now; it reports whether anything was.
func (w *World) round() bool {
	busy := false
	for len(w.queue) > 0 && w.queue[0].at <= w.now && w.failure == nil {
		e := heap.Pop(&w.queue).(event)
		e.do()
		w.collect()
		busy = true
	}
	actors := slices.DeleteFunc(w.actors(), func(a *actor) bool { return !a.ready(w.now) })
	w.random.Shuffle(len(actors), func(i, j int) { actors[i], actors[j] = actors[j], actors[i] })
	for _, a := range actors {
		if !a.ready(w.now) {
			continue
		}
		a.woken, busy = false, true
		next, err := a.step(a.machine.now())
		a.due = a.machine.at(next)
		if err != nil && !a.stopped() {
			w.fail("%s ended: %w", a.name, err)
		}
		w.collect()
		w.checkAttempts()
		if w.failure != nil {
			return true
		}
	}
	w.reconnect()
	return busy
}

// next is when something will be due.
func (w *World) next() time.Duration {
	next := forever
	if len(w.queue) > 0 {
		next = w.queue[0].at
	}
	for _, a := range w.actors() {
		next = min(next, a.next(w.now))
	}
	return max(next, w.now)
}

// actors are the loops that are alive, in a fixed order.
func (w *World) actors() []*actor {
	out := w.acting[:0]
	if !w.master.dead {
		out = append(out, w.master.link, w.master.runner)
	}
	for _, nodes := range [][]*node{w.nodes, w.clones} {
		for _, n := range nodes {
			out = append(out, n.ticker)
			if n.agent != nil {
				out = append(out, n.agent.link, n.agent.loop)
			}
		}
	}
	w.acting = out
	return out
}

// after has something done later, by the right clock.
func (w *World) after(d time.Duration, do func()) {
	w.events++
	heap.Push(&w.queue, event{at: w.now + d, seq: w.events, do: do})
}

// between is a random time.
func (w *World) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.random.Int63n(int64(most-least)+1))
}

// chance is true with a probability.
func (w *World) chance(p float64) bool { return w.random.Float64() < p }
