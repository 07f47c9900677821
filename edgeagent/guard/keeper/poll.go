package main

import (
	"syscall"
	"unsafe"
)

// Of poll.h.
const (
	pollIn  = 1
	pollOut = 4
)

// pollFD is struct pollfd.
type pollFD struct {
	fd     int32
	events int16
	got    int16
}

// poll waits until one of them is ready; with 0 it only looks, with -1 it waits for as long as that takes.
// Its time is not CLOCK_BOOTTIME, so waiting for a time is the timer's business.
func poll(fds []pollFD, seconds int) error {
	var zero syscall.Timespec
	limit := unsafe.Pointer(&zero)
	if seconds < 0 {
		limit = nil
	}
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(fds))), uintptr(len(fds)), uintptr(limit), 0, 0, 0)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR: // Go's scheduler sends itself signals
		default:
			return fail("wait for", "events", errno)
		}
	}
}
