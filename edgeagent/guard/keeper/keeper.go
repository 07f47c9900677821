package main

import (
	"strconv"
	"time"

	"github.com/skerry-edge/skerry/edgeagent/guard/wire"
)

// keeper has the armed groups.
type keeper struct {
	find     func() ([]hierarchy, error)
	kill     func(pid int) error
	file     stateFile
	watchdog *watchdog
	log      *logger

	groups []*group
}

// group is an armed one.
type group struct {
	armed
	hierarchies []hierarchy
	thawed      bool    // by this guard: the one before may have come no further than its state file
	ending      *ending // nil before the deadline
	next        time.Duration

	said struct { // what was logged last, so that it isn't again
		ended bool
		stuck int
		err   string
	}
}

// load arms what an earlier guard of this boot had armed.
func (k *keeper) load() error {
	all, err := k.file.read()
	if err != nil {
		k.log.line("error", err.Error(), "", 0)
	}
	for _, a := range all {
		hierarchies, err := k.find()
		if err != nil {
			return err
		}
		k.groups = append(k.groups, &group{armed: a, hierarchies: hierarchies})
		k.log.line("info", "armed again, as the guard before was", a.group, a.deadline)
	}
	return nil
}

// Step ends what is due, and says when to call again.
func (k *keeper) Step(now time.Duration) (next time.Duration) {
	next = never
	for _, g := range k.groups {
		next = min(next, k.stepGroup(g, now))
	}
	return next
}

func (k *keeper) stepGroup(g *group, now time.Duration) time.Duration {
	if now < g.deadline {
		return g.deadline
	}
	if g.ending == nil {
		g.ending, g.next = newEnding(g.group, g.hierarchies, k.kill, now), now
		k.log.line("warn", "the permit is over: ending all that runs under it", g.group, g.deadline)
	}
	if now < g.next {
		return g.next
	}
	g.next = g.ending.step(now)
	k.tell(g)
	return g.next
}

// tell logs what has changed, and restarts the board when something is stuck.
func (k *keeper) tell(g *group) {
	e := g.ending
	if e.ended && !g.said.ended {
		g.said.ended = true
		k.log.line("info", "nothing is left", g.group, g.deadline)
	}
	if e.err != nil && e.err.Error() != g.said.err {
		g.said.err = e.err.Error()
		k.log.line("error", g.said.err, g.group, g.deadline)
	}
	if len(e.stuck) == g.said.stuck {
		return
	}
	g.said.stuck = len(e.stuck)
	if len(e.stuck) == 0 {
		k.log.line("info", "nothing is stuck any more", g.group, g.deadline)
		return
	}
	k.log.line("error", "processes are neither dead nor frozen after 2 s: "+list(e.stuck), g.group, g.deadline)
	if said, err := k.watchdog.reboot(); err != nil {
		k.log.line("error", "the board can't be restarted: "+err.Error(), g.group, g.deadline)
	} else if said != "" {
		k.log.line("error", said, g.group, g.deadline)
	}
}

// answer does what is asked. Step is to be called after it, and the timer set, before the answer leaves.
func (k *keeper) answer(r wire.Request, now time.Duration) wire.Answer {
	switch r.Verb {
	case wire.Arm:
		if a := k.arm(r, now); a.Code != wire.OK {
			return a
		}
	case wire.Disarm:
		if a := k.disarm(r.Group); a.Code != wire.OK {
			return a
		}
	}
	return wire.Answer{Code: wire.OK, State: k.state(r.Group)}
}

func refused(why string) wire.Answer { return wire.Answer{Code: wire.Refused, Why: why} }
func busy(why string) wire.Answer    { return wire.Answer{Code: wire.Busy, Why: why} }

func (k *keeper) state(name string) wire.State {
	s := wire.State{Watchdog: k.watchdog.there(), Rebooting: k.watchdog.began}
	if g := k.named(name); g != nil {
		s.Armed, s.Deadline = true, g.deadline
		if g.ending != nil {
			s.Fired, s.Stuck = g.ending.ended, g.ending.stuck
		}
	}
	return s
}

func (k *keeper) named(name string) *group {
	for _, g := range k.groups {
		if g.group == name {
			return g
		}
	}
	return nil
}

// arm persists the deadline, and only then lets anything run.
func (k *keeper) arm(r wire.Request, now time.Duration) wire.Answer {
	switch {
	case r.Deadline <= now:
		return refused("the deadline has passed: " + (now - r.Deadline).String() + " ago")
	case r.Deadline > farthest:
		return refused("the deadline is more than a lifetime ahead; it counts from the machine's boot")
	case k.watchdog.began:
		return refused("the board is being restarted, because processes could not be ended")
	}
	g := k.named(r.Group)
	switch {
	case g == nil && len(k.groups) == maxGroups:
		return refused("more than " + strconv.Itoa(maxGroups) + " groups are armed")
	case g != nil && g.ending != nil && !g.ending.ended:
		return busy("processes of the last permit, which is over, are still being ended: " + list(g.ending.left()))
	}
	hierarchies, err := k.find()
	if err != nil {
		return refused(err.Error())
	}
	for _, h := range hierarchies {
		if err := h.ensure(r.Group); err != nil {
			return refused(err.Error())
		}
	}
	if err := k.file.write(k.with(armed{r.Group, r.Deadline})); err != nil {
		return refused(err.Error())
	}
	if g == nil {
		g = &group{}
		k.groups = append(k.groups, g)
	}
	thawed := g.thawed && g.ending == nil
	*g = group{armed: armed{r.Group, r.Deadline}, hierarchies: hierarchies, thawed: thawed}
	if thawed {
		return wire.Answer{Code: wire.OK}
	}
	if err := setFrozen(hierarchies, r.Group, false); err != nil {
		return refused(err.Error())
	}
	g.thawed = true
	k.log.line("info", "armed", r.Group, r.Deadline)
	return wire.Answer{Code: wire.OK}
}

// with is what is armed, with one group's line replaced or added.
func (k *keeper) with(a armed) []armed {
	all := []armed{a}
	for _, g := range k.groups {
		if g.group != a.group {
			all = append(all, g.armed)
		}
	}
	return all
}

// disarm freezes the group, so that nothing can begin between the look and the end of the guarding, nor after it.
func (k *keeper) disarm(name string) wire.Answer {
	g := k.named(name)
	if g == nil {
		return wire.Answer{Code: wire.OK}
	}
	if left := g.left(); left != "" {
		return busy(left)
	}
	if err := setFrozen(g.hierarchies, name, true); err != nil {
		return refused(err.Error())
	}
	left := g.left()
	if left == "" {
		if err := k.forget(g); err != nil {
			return refused(err.Error())
		}
		k.log.line("info", "disarmed", name, 0)
		return wire.Answer{Code: wire.OK}
	}
	if g.ending == nil {
		if err := setFrozen(g.hierarchies, name, false); err != nil {
			return refused(err.Error())
		}
	}
	return busy(left)
}

func (k *keeper) forget(g *group) error {
	rest := make([]*group, 0, len(k.groups))
	var lines []armed
	for _, other := range k.groups {
		if other != g {
			rest = append(rest, other)
			lines = append(lines, other.armed)
		}
	}
	var err error
	if len(lines) == 0 {
		err = k.file.remove()
	} else {
		err = k.file.write(lines)
	}
	if err == nil {
		k.groups = rest
	}
	return err
}

// left says what is in the group, or that it can't be seen; it is empty when nothing is there.
func (g *group) left() string {
	e := newEnding(g.group, g.hierarchies, nil, 0)
	e.look(0, false)
	if e.err != nil {
		return e.err.Error()
	}
	if pids := e.left(); len(pids) > 0 {
		return "processes are in it: " + list(pids)
	}
	return ""
}

// setFrozen freezes or thaws a group wherever that can be done.
func setFrozen(hierarchies []hierarchy, group string, frozen bool) error {
	for _, h := range hierarchies {
		if !h.canFreeze(group) {
			continue
		}
		if err := h.setFrozen(group, frozen); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}
