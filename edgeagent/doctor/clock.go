package doctor

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ClockState is what a machine knows of the time.
type ClockState struct {
	Wall         time.Time
	Program      time.Time // when the program that runs was written; zero: unknown
	Synchronized bool      // the kernel has been told the right time
}

// ReadClock asks the kernel.
func ReadClock() ClockState {
	state := ClockState{Wall: time.Now()}
	if self, err := os.Executable(); err == nil {
		if info, err := os.Stat(self); err == nil {
			state.Program = info.ModTime()
		}
	}
	var t unix.Timex
	code, err := unix.Adjtimex(&t) // with no mode set it only reads
	state.Synchronized = err == nil && code != unix.TIME_ERROR
	return state
}

const clockRemedy = "have it set from the network (timedatectl set-ntp true, or install chrony)"

// clock doubts a clock that is behind the agent's own file; a board without a battery wakes in the past.
func (c Config) clock() Finding {
	state := c.Clock()
	says := state.Wall.UTC().Format("2006-01-02 15:04:05 UTC")
	switch {
	case state.Wall.Before(state.Program.Add(-24 * time.Hour)): // a day for time zones and hasty builds
		return Finding{Warn, "clock", fmt.Sprintf("it says %s, but this program is of %s", says, state.Program.UTC().Format(time.DateOnly)),
			clockRemedy + "; until then registries' certificates are refused, and times in logs and events are wrong"}
	case !state.Synchronized:
		return Finding{Warn, "clock", says + ", not synchronized", clockRemedy + "; times in logs and events may be wrong"}
	}
	return Finding{OK, "clock", says + ", synchronized", ""}
}
