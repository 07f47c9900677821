package main

import (
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	// grace is how long what is killed may take to die or freeze (docs/node-loss.md counts with it).
	grace = 2 * time.Second
	// freezeWait is how long one waits for the freezer: processes in the kernel's hands come to a halt only when it
	// lets go of them, and the others shall not live that long.
	freezeWait = 100 * time.Millisecond
	// soon and later are between two looks at what is dying.
	soon  = time.Millisecond
	later = 20 * time.Millisecond
	// How often an ended group is looked at: what comes into a frozen one does nothing meanwhile.
	pollFrozen = 250 * time.Millisecond
	pollAwake  = 25 * time.Millisecond
)

// phase is what an ending does next.
type phase int

const (
	freezing phase = iota // freeze and kill, until nothing can have been missed
	dying                 // thawed, so that the killed can die; a process that wasn't killed leads back to freezing
	held                  // empty and frozen, or frozen with something that does not die
)

// sight is what is known of one process that has to end.
type sight struct {
	since  time.Duration // when it was seen first
	round  uint          // of the last look that saw it
	frozen bool          // was then
	killed bool
}

// ending brings a group to its end and keeps it there.
type ending struct {
	group       string
	hierarchies []hierarchy
	kill        func(pid int) error

	phase phase
	since time.Duration // when the phase began
	begun time.Duration // when it was begun to end what is there now
	pause time.Duration // between looks while dying
	still bool          // at the last look of freezing all were frozen
	round uint
	seen  map[int]*sight
	ended bool // at the last look nothing was left
	stuck []int
	err   error // of the last step: what could not be read or written
}

func newEnding(group string, hierarchies []hierarchy, kill func(int) error, now time.Duration) *ending {
	return &ending{group: group, hierarchies: hierarchies, kill: kill, since: now, begun: now, seen: map[int]*sight{}}
}

// step does what is due and says when to call again. It doesn't wait.
func (e *ending) step(now time.Duration) (next time.Duration) {
	e.err = nil
	e.ended = false
	switch e.phase {
	case freezing:
		return e.freezeAndKill(now)
	case dying:
		return e.watchThemDie(now)
	default:
		return e.hold(now)
	}
}

// freezeAndKill stays until nothing can have been missed: at one look all were frozen, and the next saw nobody else. A
// child that was forked behind the back of the first is seen by the second.
func (e *ending) freezeAndKill(now time.Duration) time.Duration {
	e.freeze()
	still := e.still
	fresh := e.look(now, true)
	e.still = e.all(func(s *sight) bool { return s.frozen })
	if e.empty() {
		return e.enter(held, now, now)
	}
	if e.canFreeze() && (fresh || !still) && now-e.since < freezeWait {
		return now + soon
	}
	if e.still && !e.all(func(s *sight) bool { return s.killed }) {
		return e.enter(held, now, now) // awake they would go on
	}
	e.thaw()
	e.pause = soon
	return e.enter(dying, now, now+soon)
}

// watchThemDie waits for the end of what was killed, no longer than the grace.
func (e *ending) watchThemDie(now time.Duration) time.Duration {
	// Where nothing freezes, killing goes on until it wins.
	fresh := e.look(now, !e.canFreeze())
	switch {
	case e.empty(), now-e.begun >= grace:
		e.freeze()
		return e.enter(held, now, now)
	case fresh && e.canFreeze():
		return e.enter(freezing, now, now)
	case fresh:
		return now
	}
	e.pause = min(2*e.pause, later)
	return now + e.pause
}

// hold looks whether anything has come, and which processes are stuck.
func (e *ending) hold(now time.Duration) time.Duration {
	e.freeze() // somebody may have thawed or removed it
	e.look(now, false)
	e.stuck = e.stuck[:0]
	if e.empty() {
		e.ended = true
		if e.canFreeze() {
			return now + pollFrozen
		}
		return now + pollAwake
	}
	for pid, s := range e.seen {
		if !s.frozen && now-s.since >= grace {
			e.stuck = append(e.stuck, pid)
		}
	}
	slices.Sort(e.stuck)
	if again := e.since + later; now < again {
		return again // what could not be ended just now is not worth a busy loop
	}
	e.begun = now
	return e.enter(freezing, now, now)
}

func (e *ending) enter(p phase, now, next time.Duration) time.Duration {
	e.phase, e.since, e.still = p, now, false
	return next
}

// empty says that the last look saw nothing, and could see everything.
func (e *ending) empty() bool { return len(e.seen) == 0 && e.err == nil }

// look sees who is in the group, and kills all of them or none; fresh says that some were not killed before.
func (e *ending) look(now time.Duration, kill bool) (fresh bool) {
	e.round++
	allAtOnce := false
	for _, h := range e.hierarchies {
		last, frozen := "", false
		e.note(h.walk(e.group, func(dir string, pid int) {
			if dir != last {
				last, frozen = dir, (h.v2 || h.freezer) && h.frozen(dir)
			}
			if pid == syscall.Getpid() || pid == 1 {
				return // not ours to kill; and a machine that put them there has other troubles
			}
			s := e.seen[pid]
			if s == nil {
				s = &sight{since: now}
				e.seen[pid] = s
			}
			if s.round != e.round {
				s.round, s.frozen = e.round, false
			}
			s.frozen = s.frozen || frozen
		}))
		if kill {
			done, err := h.killAll(e.group)
			allAtOnce = allAtOnce || done
			e.note(err)
		}
	}
	for pid, s := range e.seen {
		if s.round != e.round {
			delete(e.seen, pid)
			continue
		}
		fresh = fresh || !s.killed
		if kill && pid > 0 {
			err := e.kill(pid)
			s.killed = s.killed || err == nil
			if err != syscall.ESRCH {
				e.note(fail("kill", strconv.Itoa(pid), err))
			}
		} else if kill {
			s.killed = allAtOnce // 0 stands for one of another PID namespace, which only cgroup.kill reaches
		}
	}
	return fresh
}

func (e *ending) all(is func(*sight) bool) bool {
	for _, s := range e.seen {
		if !is(s) {
			return false
		}
	}
	return true
}

func (e *ending) canFreeze() bool {
	for _, h := range e.hierarchies {
		if h.canFreeze(e.group) {
			return true
		}
	}
	return false
}

// freeze freezes the group everywhere; where it is gone it makes it again, so that what comes finds it frozen.
func (e *ending) freeze() {
	for _, h := range e.hierarchies {
		if !h.v2 && !h.freezer {
			continue
		}
		err := h.setFrozen(e.group, true)
		if gone(err) && h.ensure(e.group) == nil {
			err = h.setFrozen(e.group, true)
		}
		e.note(err)
	}
}

// thaw lets what was killed die: version 1 keeps the dead-to-be asleep, version 2 does not.
func (e *ending) thaw() {
	for _, h := range e.hierarchies {
		if h.freezer {
			e.note(h.setFrozen(e.group, false))
		}
	}
}

func (e *ending) note(err error) {
	if err != nil && !gone(err) {
		e.err = err
	}
}

// left are the processes that the last look saw.
func (e *ending) left() []int {
	all := make([]int, 0, len(e.seen))
	for pid := range e.seen {
		all = append(all, pid)
	}
	slices.Sort(all)
	return all
}
