// Package clock is the time that decisions are made with.
//
// A device wakes up in 1970, is stepped forward by NTP and has no battery: its wall clock says nothing
// about how long something took. Elapsed time is therefore decided on Boot alone, the kernel's
// CLOCK_BOOTTIME, which only ever grows, also across suspend. Wall is for people: timestamps in objects,
// logs and events.
//
// The package is pure: the readings come in from outside, as an argument called now.
package clock

import "time"

// Now is one reading of both clocks, taken together.
type Now struct {
	Wall time.Time     // what a person calls the time; may be wrong by decades
	Boot time.Duration // since this machine's boot; never goes backwards while it is up
}

// Never is later than every reading: what a Step returns that waits for nothing but input.
var Never = Now{Boot: 1<<63 - 1}

// Source reads the clocks. The real one is daemon.Clock; a simulation hands out virtual time.
type Source func() Now

// Add is the reading d later by both clocks. Never stays Never.
func (n Now) Add(d time.Duration) Now {
	if n.IsNever() {
		return n
	}
	return Now{Wall: n.Wall.Add(d), Boot: n.Boot + d}
}

// Since is the elapsed time from earlier to n, by the boot clock.
func (n Now) Since(earlier Now) time.Duration { return n.Boot - earlier.Boot }

// Reached reports whether n is at or past the deadline, by the boot clock.
func (n Now) Reached(deadline Now) bool { return n.Boot >= deadline.Boot }

// IsNever reports whether n is Never.
func (n Now) IsNever() bool { return n.Boot == Never.Boot }

// Earliest is the reading with the smallest boot time: the next moment at which anything is due.
func Earliest(first Now, rest ...Now) Now {
	for _, n := range rest {
		if n.Boot < first.Boot {
			first = n
		}
	}
	return first
}
