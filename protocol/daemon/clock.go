package daemon

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/skerry-edge/skerry/protocol/clock"
)

// Clock is the clock.Source of a real machine: CLOCK_BOOTTIME, which counts while the machine sleeps and is
// never stepped, and the wall clock for people.
func Clock() clock.Now {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("read CLOCK_BOOTTIME: " + err.Error()) // Linux has it since 2.6.39
	}
	return clock.Now{Wall: time.Now(), Boot: time.Duration(ts.Nano())}
}
