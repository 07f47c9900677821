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
	rate     int64         // of both clocks, in thousandths of the right one
	bootedAt time.Duration // by the right clock
	bootBase time.Duration // what the boot clock showed then: firmware and kernel take their time
	wall     time.Time     // what the wall clock showed then
}

// newMachine switches a machine on.
func (w *World) newMachine() *machine {
	m := &machine{w: w, rate: 1000}
	if w.options.Skewed {
		m.rate = 950 + w.random.Int63n(101)
	}
	m.boot()
	m.wall = began.Add(w.now)
	return m
}

// boot switches it on again. It has no clock that runs meanwhile.
func (m *machine) boot() {
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
	woken   bool
	due     time.Duration // by the right clock
}

func (a *actor) wake() { a.woken = true }
