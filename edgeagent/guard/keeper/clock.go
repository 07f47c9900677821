package main

import (
	"syscall"
	"time"
	"unsafe"
)

const (
	clockBoottime = 7 // CLOCK_BOOTTIME of linux/time.h
	timerAbstime  = 1 // TFD_TIMER_ABSTIME
	never         = time.Duration(1<<63 - 1)
	// farthest is what a timer takes where seconds have 32 bits.
	farthest = (1<<31 - 1) * time.Second
)

// bootTime is the time since the machine was started, sleep included.
func bootTime() time.Duration {
	var ts syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic("read CLOCK_BOOTTIME: " + errno.Error()) // Linux has it since 2.6.39
	}
	return time.Duration(ts.Nano())
}

// timer is a timerfd on CLOCK_BOOTTIME.
type timer struct {
	fd  int
	set time.Duration // to when; never: not set
}

func newTimer() (*timer, error) {
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockBoottime, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return nil, fail("make", "timer", errno)
	}
	return &timer{fd: int(fd), set: never}, nil
}

// wake makes the timer's descriptor readable at that time.
func (t *timer) wake(at time.Duration) error {
	if at == t.set {
		return nil
	}
	var spec struct{ interval, value syscall.Timespec }
	if at != never {
		spec.value = syscall.NsecToTimespec(int64(min(max(at, 1), farthest))) // zero would turn it off
	}
	_, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(t.fd), timerAbstime, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		t.set = 0
		return fail("set", "timer", errno)
	}
	t.set = at
	return nil
}

// rang takes note that the timer's descriptor was readable.
func (t *timer) rang() {
	var count [8]byte
	if n, _ := syscall.Read(t.fd, count[:]); n > 0 {
		t.set = 0 // it is off now; whatever comes next is set anew
	}
}
