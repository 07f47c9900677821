package sim

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skerry-edge/skerry/edgeagent/masterlink"
	loop "github.com/skerry-edge/skerry/edgeagent/reconcile"
	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/reconcile"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/protocol/message"
	shared "github.com/skerry-edge/skerry/protocol/pod"
)

// twice is what the world says of pods that must be single and are not.
const twice = "run at once"

// permitMistakes are those about what must be single. They are played in worlds that run little else.
var permitMistakes = []mistake{
	{what: "an agent counts a permit from when it got it, not from when it asked", broken: onGrant(func(n *node, g message.Grant) message.Grant {
		g.Ask = uint64(n.machine.now().Boot.Milliseconds())
		return g
	}), want: twice},
	{what: "an agent that has any permit runs all pods that need one", broken: onGrant(func(n *node, g message.Grant) message.Grant {
		for uid, p := range n.book.listed {
			if shared.Single(p) && !shared.Pinned(p) && !slices.Contains(g.Pods, uid) {
				g.Pods = append(g.Pods, uid)
			}
		}
		slices.Sort(g.Pods)
		return g
	}), want: twice},
	{what: "a permit counts as ended after its length, without 12 % and 2 s for clocks", broken: onGrant(func(_ *node, g message.Grant) message.Grant {
		g.Millis = g.Millis*112/100 + 2000 // which the agent then takes for its length, and the master for its end
		return g
	}), want: twice, seeds: 12, play: handOver},
	{what: "a pod's slot is free when the pod is deleted by force", broken: onCommit(func(w *World, who string, changes []change.Change) []change.Change {
		return w.withSlots(changes, func(uid string) bool { return who == "user" })
	}), want: twice},
	{what: "a pod's slot is free when any machine of its node's name says that it is gone", broken: onCommit(func(w *World, who string, changes []change.Change) []change.Change {
		return w.withSlots(changes, func(uid string) bool { return who == "nodelink" })
	}), want: twice, play: twinSays},
	{what: "a slot is given away without a record", broken: onCommit(func(_ *World, _ string, changes []change.Change) []change.Change {
		return slices.DeleteFunc(slices.Clone(changes), func(c change.Change) bool { return c.Key.Kind == resource.SlotKind && c.Base == 0 && !c.Deletes() })
	}), want: twice},
	{what: "a longer permit than before is given without a record of it", broken: onCommit(func(w *World, _ string, changes []change.Change) []change.Change {
		return slices.DeleteFunc(slices.Clone(changes), func(c change.Change) bool { return w.grows(c) })
	}), want: twice, play: longerBefore},
	{what: "a master that begins to lead takes what was permitted before for ended", broken: func() Broken {
		return Broken{FirstLeader: func(*World) bool { return true }, Opened: func(w *World) {
			for key := range w.disk.records {
				if key.Kind == resource.SlotKind {
					delete(w.disk.records, key)
					delete(w.disk.promised, key)
				}
			}
		}}
	}, want: twice},
	{what: "a master whose store was restored gives slots away at once", broken: func() Broken {
		return Broken{FirstLeader: func(w *World) bool { return w.restores > 0 }}
	}, want: twice, seeds: 12, play: restoreOver},
	{what: "all boots of all machines of a name are one to the master", broken: func() Broken { return Broken{SameBoot: true} }, want: twice},
	{what: "an agent obeys a master of an older epoch than it has seen, when it has just started", broken: func() Broken {
		return Broken{AgentDisk: func(d AgentDisk) AgentDisk { return ageless{d} }}
	}, want: "goes back from orders"},
	{what: "an agent says at once that it has let go of a pod that it is asked about", broken: func() Broken {
		return Broken{Local: func(l masterlink.Local) masterlink.Local { return &careless{Local: l} }}
	}, want: twice, seeds: 12, play: askedAbout},
	{what: "an agent starts what must be single before the guard is armed", broken: func() Broken {
		return Broken{Guard: func(n *node, g loop.Guard) loop.Guard { return belated{g, n} }}
	}, want: "the guard is not armed"},
	{what: "a guard that crashes forgets its deadline", broken: func() Broken { return Broken{GuardForgets: true} }, want: "its guard was to end that"},
	{what: "an agent arms its guard for a minute more than it is permitted", broken: func() Broken {
		return Broken{Guard: func(_ *node, g loop.Guard) loop.Guard { return generous{g} }}
	}, want: "its guard was to end that"},
}

// handOver is a world in which a pod that must be single moves: its node hangs and is cut off for minutes, and all clocks are
// at their limits.
func handOver(o Options) *World {
	o.Nodes, o.Limits, o.Embedded = 2, true, false
	w := New(o)
	if !w.Run(5 * time.Second) {
		return w
	}
	w.user.Single("only-0", 1, template([]string{"forever"}, "app:1", 10))
	var on *node
	if !w.RunUntil(time.Minute, func() bool { on = w.runsOnly(); return on != nil }) {
		w.fail("only-0 does not run")
		return w
	}
	w.Run(w.between(5*time.Second, 25*time.Second))
	on.freeze(5 * time.Minute)
	w.cut(on.name, true, true, 5*time.Minute)
	began := w.now
	if !w.RunUntil(3*time.Minute, func() bool { other := w.runsOnly(); return other != nil && other != on }) {
		w.fail("only-0 does not run elsewhere")
		return w
	}
	w.log("world", "only-0 runs elsewhere after %s", w.now-began)
	w.Run(time.Minute)
	return w
}

// restoreOver is a world whose master is restored from a backup that knows nothing of a pod that must be single and runs on a
// node that can't be reached; the user asks for it again.
func restoreOver(o Options) *World {
	o.Nodes, o.Limits, o.Embedded, o.Local, o.Permits = 2, true, false, false, false
	w := New(o)
	if !w.Run(5 * time.Second) {
		return w
	}
	w.backUp()
	w.backups = w.backups[:1]
	spec := template([]string{"forever"}, "app:1", 10)
	w.user.Single("only-0", 1, spec)
	var on *node
	if !w.RunUntil(time.Minute, func() bool { on = w.runsOnly(); return on != nil }) {
		w.fail("only-0 does not run")
		return w
	}
	on.freeze(5 * time.Minute)
	w.cut(on.name, true, true, 5*time.Minute)
	w.backups = w.backups[:1]
	w.restore(time.Second)
	w.Run(2 * time.Second)
	w.user.Cordon(on.name, true)
	w.user.Single("only-0", 1, spec)
	w.Run(2 * time.Minute)
	return w
}

// askedAbout is a world in which a pod that must be single is deleted by force and made again elsewhere, while the engine of
// its node can stop nothing.
func askedAbout(o Options) *World {
	o.Nodes, o.Limits, o.Embedded, o.Local, o.Permits = 2, true, false, true, false
	w := New(o)
	if !w.Run(5 * time.Second) {
		return w
	}
	spec := template([]string{"ignore"}, "app:1", 30)
	w.user.runSingle("one-0", spec)
	var on *node
	if !w.RunUntil(time.Minute, func() bool { on = w.runsOnly(); return on != nil }) {
		w.fail("one-0 does not run")
		return w
	}
	on.engineAway(30 * time.Second)
	w.user.Cordon(on.name, true)
	w.user.Delete(resource.Pods, "one-0", true)
	w.user.runSingle("one-0", spec)
	w.Run(2 * time.Minute)
	return w
}

// twinSays is a world in which a copy of a machine's disk boots while the machine can't be reached: what it says of a pod
// that must be single says nothing of the machine that runs it.
func twinSays(o Options) *World {
	o.Nodes, o.Embedded, o.Local, o.Permits = 2, false, true, false
	w := New(o)
	if !w.Run(5 * time.Second) {
		return w
	}
	spec := template([]string{"forever"}, "app:1", 10)
	w.user.runSingle("one-0", spec)
	var on *node
	if !w.RunUntil(time.Minute, func() bool { on = w.runsOnly(); return on != nil }) {
		w.fail("one-0 does not run")
		return w
	}
	w.Run(20 * time.Second)
	on.freeze(5 * time.Minute) // its containers live on until the guard ends them
	on.clone(3 * time.Minute)
	w.Run(10 * time.Second)
	w.user.Delete(resource.Pods, "one-0", false)
	w.Run(5 * time.Second)
	w.user.Cordon(on.name, true)
	w.user.runSingle("one-0", spec)
	w.Run(2 * time.Minute)
	return w
}

// longerBefore is a world whose master has granted longer permits than it does now, and begins to lead again while a node
// that has one can't be reached.
func longerBefore(o Options) *World {
	o.Nodes, o.Embedded, o.Local, o.Permits = 2, false, false, false
	w := New(o)
	w.settings = choices[1]
	w.master.crash(time.Second, false)
	if !w.Run(30 * time.Second) {
		return w
	}
	w.user.Single("only-0", 1, template([]string{"forever"}, "app:1", 10))
	var on *node
	if !w.RunUntil(2*time.Minute, func() bool { on = w.runsOnly(); return on != nil }) {
		w.fail("only-0 does not run")
		return w
	}
	w.settings = choices[2]
	w.master.crash(time.Second, false)
	w.Run(90 * time.Second)
	on.freeze(5 * time.Minute)
	w.cut(on.name, true, true, 5*time.Minute)
	w.settings = choices[1]
	w.master.crash(time.Second, false)
	w.Run(3 * time.Minute)
	return w
}

// runsOnly is the node on which a single pod runs, the last one.
func (w *World) runsOnly() (on *node) {
	for _, n := range w.nodes {
		if len(n.instances()) > 0 && n.agent != nil && w.now >= n.agent.frozen {
			on = n
		}
	}
	return on
}

// TestASinglePodMoves: with all clocks at their limits a pod that must be single runs elsewhere after its permit has surely
// ended, and not before.
func TestASinglePodMoves(t *testing.T) {
	for seed := int64(1); seed <= 12; seed++ {
		o := options(seed)
		for _, play := range []func(Options) *World{handOver, restoreOver, askedAbout, twinSays, longerBefore} {
			if w := play(o); w.Failure() != nil {
				report(t, o, w)
			}
		}
	}
}

// onGrant plants a mistake in what an agent makes of a permit.
func onGrant(change func(*node, message.Grant) message.Grant) func() Broken {
	return func() Broken {
		return Broken{Local: func(l masterlink.Local) masterlink.Local { return grants{l, l.(*local).node, change} }}
	}
}

type grants struct {
	masterlink.Local
	node   *node
	change func(*node, message.Grant) message.Grant
}

func (g grants) Grant(m message.Grant) { g.Local.Grant(g.change(g.node, m)) }

// onCommit plants a mistake in what a master writes.
func onCommit(change func(*World, string, []change.Change) []change.Change) func() Broken {
	return func() Broken { return Broken{Commit: change} }
}

// withSlots ends with each pod that is deleted the record of its slot.
func (w *World) withSlots(changes []change.Change, which func(uid string) bool) []change.Change {
	out := slices.Clone(changes)
	view := w.master.store.View()
	for _, c := range changes {
		rec, ok := view.Get(c.Key)
		if c.Key.Kind != resource.Pods.Kind || !c.Deletes() || !ok {
			continue
		}
		uid := string(w.pod(rec).UID)
		if !which(uid) {
			continue
		}
		for s := range view.List(resource.SlotKind, "") {
			content, err := resource.DecodeSlot(s.Value)
			if err == nil && string(content.Pod) == uid && !slices.ContainsFunc(changes, func(c change.Change) bool { return c.Key == s.Key }) {
				out = append(out, change.Change{Key: s.Key, Base: s.Rev, Reason: "by mistake"})
			}
		}
	}
	return out
}

// grows reports whether a change is of the length of a permit alone.
func (w *World) grows(c change.Change) bool {
	if c.Key.Kind != resource.SlotKind || c.Base == 0 || c.Deletes() {
		return false
	}
	rec, _ := w.master.store.View().Get(c.Key)
	old, err := resource.DecodeSlot(rec.Value)
	next, err2 := resource.DecodeSlot(c.Value)
	return err == nil && err2 == nil && old.Pod == next.Pod && old.Boot == next.Boot && old.Holder == next.Holder && next.Millis > old.Millis
}

// ageless forgets which epochs there were.
type ageless struct{ AgentDisk }

func (ageless) Epoch() (message.Epoch, error) { return message.Epoch{}, nil }

func (a ageless) Desired() (message.Position, message.Digest, []byte, error) {
	position, digest, content, err := a.AgentDisk.Desired()
	position.Epoch = message.Epoch{}
	return position, digest, content, err
}

// careless lets go of what it is asked about before it has looked.
type careless struct {
	masterlink.Local
	asked []string
}

func (c *careless) Release(pods []string) { c.asked = append(c.asked, pods...); c.Local.Release(pods) }

func (c *careless) TakeReleased() []string {
	out := append(c.asked, c.Local.TakeReleased()...)
	c.asked = nil
	return out
}

// belated arms the guard later than it says.
type belated struct {
	loop.Guard
	n *node
}

func (b belated) Arm(_ context.Context, deadline time.Duration) error {
	b.n.w.after(2*time.Second, func() { _ = b.Guard.Arm(context.Background(), deadline) })
	return nil
}

// generous arms the guard for too long.
type generous struct{ loop.Guard }

func (g generous) Arm(ctx context.Context, deadline time.Duration) error {
	return g.Guard.Arm(ctx, deadline+time.Minute)
}

// impatient does not count pods that are ending.
type impatient struct{ reconcile.Planner }

func (i impatient) Observe(e change.Event) {
	for _, rec := range []*change.Record{&e.Old, &e.New} {
		if e.Key.Kind != resource.Pods.Kind || !rec.Exists() {
			continue
		}
		p, err := resource.As[*corev1.Pod](resource.Pods, *rec)
		if err != nil || p.DeletionTimestamp == nil {
			continue
		}
		p = p.DeepCopy()
		delete(p.Annotations, resource.PartitionPolicy)
		if value, err := resource.Encode(p); err == nil {
			rec.Value = value
		}
	}
	i.Planner.Observe(e)
}

// TestPermitsAloneAreEnough is the control of the mistakes: a ReplicaSet controller that makes a pod while the one before is still
// ending is wrong, and still no two run at once, for the new one gets no permit.
func TestPermitsAloneAreEnough(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("-short or -race: no mistakes are planted; make test plants them without the detector")
	}
	made := 0
	for seed := int64(1); seed <= 15; seed++ {
		o := aboutPermits(options(seed))
		o.Broken = planner("replicaset", func(p reconcile.Planner) reconcile.Planner { return impatient{p} })()
		w := New(o)
		_ = w.Run(5*time.Second) && w.Chaos(4*time.Minute) && w.Settle()
		if err := w.Failure(); err != nil && (strings.Contains(err.Error(), twice) || strings.Contains(err.Error(), "guard")) {
			report(t, o, w)
		}
		for _, p := range w.singles.pods {
			if strings.HasPrefix(p.owner.name, "deployment/") {
				made++
			}
		}
	}
	if made < 15 {
		t.Errorf("only %d pods of Deployments that must be single were made: this shows nothing", made)
	}
}
