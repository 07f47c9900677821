package sim

import (
	"time"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// forever is later than every world's end.
const forever = time.Duration(1<<63 - 1)

// began is what people call the world's beginning.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// machine is a computer's clocks.
type machine struct {
	w        *World
	id       string
	rate     int64         // of both clocks, in thousandths of the right one
	bootedAt time.Duration // by the right clock
	bootBase time.Duration // what the boot clock showed then: firmware and kernel take their time
	wall     time.Time     // what the wall clock showed then
	slept    time.Duration // how long the engine's call under way lasts
}

// newMachine switches a machine on.
func (w *World) newMachine() *machine {
	m := &machine{w: w, rate: 1000}
	m.boot()
	m.wall = began.Add(w.now)
	return m
}

// boot switches it on again. It has no clock that runs meanwhile, and its crystal is warmer or colder than it was.
func (m *machine) boot() {
	if m.w.options.Skewed {
		m.rate = 950 + m.w.random.Int63n(101)
	}
	if m.w.options.Limits {
		m.rate = 950
		if m.w.master == nil || m.w.master.machine == m {
			m.rate = 1050
		}
	}
	m.bootedAt = m.w.now
	m.bootBase = m.w.between(3*time.Second, 20*time.Second)
	m.wall = time.Unix(0, 0).UTC().Add(m.bootBase)
}

// setWall steps the wall clock to the right time, give or take.
func (m *machine) setWall(off time.Duration) {
	m.wall = began.Add(m.w.now + off - m.elapsed())
}

func (m *machine) elapsed() time.Duration {
	return (m.w.now - m.bootedAt) * time.Duration(m.rate) / 1000
}

// now is a reading of both clocks.
func (m *machine) now() clock.Now {
	return clock.Now{Wall: m.wall.Add(m.elapsed()), Boot: m.bootBase + m.elapsed()}
}

// at is when, by the right clock, the machine's boot clock reaches a reading.
func (m *machine) at(reading clock.Now) time.Duration {
	const horizon = 1000 * time.Hour
	d := reading.Boot - m.bootBase
	switch {
	case d > horizon:
		return forever
	case d <= 0:
		return m.bootedAt
	}
	return m.bootedAt + (d*1000+time.Duration(m.rate)-1)/time.Duration(m.rate)
}

// actor is one loop of one process.
type actor struct {
	name    string
	machine *machine
	step    func(clock.Now) (clock.Now, error)
	stopped func() bool
	frozen  func() time.Duration // until when, by the right clock; nil: never
	woken   bool
	due     time.Duration // by the right clock
}

func (a *actor) wake() { a.woken = true }

// ready reports whether the loop is to take its step. A process that is frozen goes on with everything later.
func (a *actor) ready(now time.Duration) bool {
	return !a.stopped() && a.next(now) <= now
}

// next is when, by the right clock, the loop is to take its step.
func (a *actor) next(now time.Duration) time.Duration {
	next := a.due
	if a.woken {
		next = now
	}
	if a.frozen != nil {
		next = max(next, a.frozen())
	}
	return next
}
