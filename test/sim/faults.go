package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/engine"
	"github.com/skerry-edge/skerry/edgeagent/engine/fake"
)

// Chaos lets faults and the user's acts happen at random for d, and then ends all faults. It reports false when
// an invariant was broken.
func (w *World) Chaos(d time.Duration) bool {
	end := w.now + d
	var fault, act func()
	fault = func() {
		if w.now < end {
			w.strike()
			w.after(w.between(200*time.Millisecond, 15*time.Second), fault)
		}
	}
	act = func() {
		if w.now < end {
			w.user.strike()
			w.after(w.between(200*time.Millisecond, 8*time.Second), act)
		}
	}
	w.after(w.between(5*time.Second, time.Minute), w.backUp)
	w.after(w.between(0, 20*time.Second), fault)
	w.after(w.between(0, 5*time.Second), act)
	if !w.Run(d) {
		return false
	}
	w.Calm()
	return w.failure == nil
}

// strike makes one random fault; in a big world some more, of nodes.
func (w *World) strike() {
	for range len(w.nodes) / 8 {
		w.strikeNode(w.nodes[w.random.Intn(len(w.nodes))])
	}
	n := w.nodes[w.random.Intn(len(w.nodes))]
	if w.options.Local || w.chance(0.5) {
		w.strikeNode(n)
		return
	}
	w.strikeAll()
}

// strikeNode makes a fault of one node.
func (w *World) strikeNode(n *node) {
	switch w.faultOf(18) {
	case 0:
		n.crash(w.pause())
	case 1:
		n.powerCut(w.pause()+time.Second, false, false)
	case 2:
		n.powerCut(w.pause()+time.Second, w.chance(0.5), w.chance(0.5))
	case 3, 4:
		if n.agent != nil {
			n.agent.crashIn, n.agent.written = 1+w.random.Intn(12), w.chance(0.5)
		}
	case 5, 6:
		w.cutAny(n.name)
	case 7:
		n.engineAway(w.between(time.Second, 40*time.Second))
	case 8:
		n.engineFails()
	case 9:
		n.containerDies()
	case 10:
		off := w.between(-400*24*time.Hour, 24*time.Hour)
		w.log(n.name, "CLOCK is stepped, off by %s", off)
		n.machine.setWall(off)
	case 11, 12:
		n.hangs()
	case 13:
		if w.chance(0.4) {
			n.clone(w.between(5*time.Second, time.Minute))
		}
	case 14:
		if w.chance(0.3) {
			n.rename()
		}
	case 15:
		n.guardCrashes()
		if w.chance(0.5) {
			n.freeze(w.pause())
		}
	case 16:
		n.guardAway(w.between(time.Second, 40*time.Second))
	case 17:
		if w.chance(0.3) {
			n.replace(w.between(5*time.Second, time.Minute))
		}
	}
}

// hangs stops the agent's loops: now, or when the next request of the master has reached it and was not read. In worlds about
// permits the node is cut off mostly, for longer than it hangs: a device in trouble, in short.
func (n *node) hangs() {
	w := n.w
	if w.options.Permits && w.chance(0.7) {
		n.dozes = w.chance(0.5)
		if d := w.between(30*time.Second, 2*time.Minute); !n.dozes {
			n.freeze(d)
			w.cut(n.name, true, true, d+w.between(0, time.Minute))
		}
		return
	}
	if n.dozes = w.chance(0.5); !n.dozes {
		n.freeze(w.pause())
	}
}

// asked reports whether the node has single pods and has just sent a heartbeat, so that the request that comes is its permit.
func (n *node) asked() bool {
	w := n.w
	return !w.options.Permits || w.now-n.beat < 200*time.Millisecond && slices.ContainsFunc(n.instances(), func(i instance) bool { return !i.p.pinned })
}

// dozesOff is what comes of it when the request is there.
func (n *node) dozesOff() {
	w := n.w
	n.dozes = false
	if !w.options.Permits {
		n.freeze(w.pause())
		return
	}
	d := w.between(20*time.Second, time.Minute)
	n.freeze(d)
	w.cut(n.name, true, true, d+w.between(30*time.Second, time.Minute))
}

// faultOf draws one of the faults of a node. Permits fear cuts and frozen agents most, each for longer than a permit.
func (w *World) faultOf(kinds int) int {
	if w.options.Permits && w.chance(0.4) {
		return []int{5, 6, 11, 12, 13, 15, 1, 14}[w.random.Intn(8)]
	}
	return w.random.Intn(kinds)
}

// strikeAll makes a fault of what there is only once.
func (w *World) strikeAll() {
	switch w.faultOfAll(12) {
	case 0:
		if later := w.now > w.restoredAt+w.permitsEnd(); later && (w.chance(0.4) || w.options.Permits) { // see backup.md
			w.settings = choices[w.random.Intn(len(choices))] // in force with the next start
			w.log("user", "CHANGES the master's settings and restarts it")
		}
		w.master.crash(w.pause(), w.chance(0.3))
		w.cutSome()
	case 1, 2:
		w.master.crashIn, w.master.written = 1+w.random.Intn(12), w.chance(0.5)
	case 3:
		w.cutAny("master")
	case 4:
		w.restartBroker(w.between(0, 20*time.Second))
	case 5:
		w.log("broker", "FORGETS what it retained")
		w.bus.Forget("#")
	case 6:
		off := w.between(-20*time.Minute, 20*time.Minute) // what is kept for an hour is to stay
		w.log("master", "CLOCK is stepped, off by %s", off)
		w.master.machine.setWall(off)
	case 7:
		w.master.freeze(w.pause())
	case 8:
		w.cutMany(0.2 + 0.6*w.random.Float64())
	case 9:
		w.weather = weather{}
		if w.chance(0.7) {
			w.weather = weather{
				loses: w.random.Float64() * 0.4, repeats: w.random.Float64() * 0.3,
				delays: w.random.Float64() * 0.3, reorders: w.random.Float64() * 0.5,
			}
		}
		w.log("network", "WEATHER %+v", w.weather)
	case 11:
		if w.chance(0.3) || w.options.Permits {
			w.restore(w.between(time.Second, 10*time.Second) + w.pause()/4)
		}
	case 10:
		w.replay(10+w.random.Intn(200), func(recorded) bool { return true })
	}
}

// faultOfAll draws one of the faults of what there is only once. Permits fear new leaders most.
func (w *World) faultOfAll(kinds int) int {
	if w.options.Permits && w.chance(0.4) {
		return []int{0, 0, 0, 11, 8}[w.random.Intn(5)]
	}
	return w.random.Intn(kinds)
}

// cutSome cuts nodes off for longer than permits last mostly, in worlds about permits: what has happened to the master may have
// happened to a switch, too.
func (w *World) cutSome() {
	if !w.options.Permits || w.chance(0.4) {
		return
	}
	for _, n := range w.nodes {
		if w.chance(0.4) {
			w.cut(n.name, true, true, w.between(20*time.Second, 2*time.Minute))
		}
	}
}

// cutMany cuts off a part of all nodes at once, as a switch that fails does.
func (w *World) cutMany(part float64) {
	d := w.pause()
	for _, n := range w.nodes {
		if w.chance(part) {
			w.cut(n.name, true, true, d)
		}
	}
}

// pause is how long something is away: mostly short, at times long.
func (w *World) pause() time.Duration {
	if w.chance(0.2) || w.options.Permits && w.chance(0.3) {
		return w.between(30*time.Second, 2*time.Minute)
	}
	return w.between(100*time.Millisecond, 10*time.Second)
}

func (w *World) cutAny(id string) {
	up, down := w.chance(0.75), w.chance(0.75)
	if !up && !down {
		up, down = true, true
	}
	w.cut(id, up, down, w.pause())
}

// engineAway makes the engine answer nothing for a while.
func (n *node) engineAway(d time.Duration) {
	n.w.log(n.name, "ENGINE AWAY for %s", d)
	e := n.engine
	e.SetAway(true)
	n.health.engine = max(n.health.engine, n.w.now+d)
	n.w.after(d, func() { e.SetAway(false) })
}

// engineFails makes the next calls of one kind fail.
func (n *node) engineFails() {
	calls := []fake.Call{fake.List, fake.Pull, fake.Start, fake.Stop, fake.Remove}
	errs := []error{engine.ErrAway, errors.New("disk full"), fmt.Errorf("image: %w", engine.ErrNotFound)}
	call, err := calls[n.w.random.Intn(len(calls))], errs[n.w.random.Intn(len(errs))]
	if call == fake.List {
		err = engine.ErrAway
	}
	n.w.log(n.name, "ENGINE FAILS its next %s: %v", call, err)
	n.health.engine = max(n.health.engine, n.w.now)
	n.engine.Fail(call, err)
}

// containerDies ends a random container from outside.
func (n *node) containerDies() {
	list := n.engine.Containers()
	if len(list) == 0 {
		return
	}
	c := list[n.w.random.Intn(len(list))]
	n.w.log(n.name, "CONTAINER %s dies", c.ID)
	n.health.engine = max(n.health.engine, n.w.now)
	n.engine.Kill(c.ID, n.w.random.Intn(3))
	n.counted = false
	n.ticker.wake()
}

// Calm ends all faults: the network is whole, engines answer, everything that is away comes back in its time.
func (w *World) Calm() {
	w.log("world", "CALM")
	w.calm = true
	w.weather = weather{}
	for _, n := range w.machines() {
		w.heal(n.name)
		n.engine.SetAway(false)
		n.engine.Guard().SetAway(false)
		n.dozes = false
		if n.agent != nil {
			n.agent.crashIn = 0
		}
	}
	w.heal("master")
	w.master.crashIn = 0
	w.brokerUp = min(w.brokerUp, w.now+time.Second)
}
