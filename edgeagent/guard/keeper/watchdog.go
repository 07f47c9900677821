package main

import (
	"errors"
	"syscall"
	"unsafe"
)

// Of linux/watchdog.h.
const setTimeout = 0xC0045706 // WDIOC_SETTIMEOUT

// watchdog restarts the board. Opening the device starts its countdown, and nobody pets it: a kernel that is stuck with a
// process might never come to an end with reboot(2), the hardware needs no kernel.
type watchdog struct {
	path  string // empty: never
	sysrq string // for when somebody else, as systemd's RuntimeWatchdogSec=, has the device
	began bool
	fd    int // kept: closing could stop it
}

func newWatchdog(path string) *watchdog { return &watchdog{path: path, sysrq: "/proc/sysrq-trigger"} }

// there reports whether the board would be restarted.
func (w *watchdog) there() bool { return w.path != "" && exists(w.path) }

// reboot sets off the restart, once, and says how; it says nothing when there is no watchdog, or it was set off before.
func (w *watchdog) reboot() (said string, err error) {
	if w.began || !w.there() {
		return "", nil
	}
	fd, err := open(w.path, syscall.O_WRONLY)
	if errors.Is(err, syscall.EBUSY) {
		// Its owner would go on petting it. This one way restarts at once and asks no driver.
		if err := put(w.sysrq, "b"); err != nil {
			return "", err
		}
		w.began = true
		return "the board is restarted by the kernel, for another process has " + w.path, nil
	}
	if err != nil {
		return "", err
	}
	w.began, w.fd = true, fd
	// The shortest time that the hardware takes; where it takes none of these, its own.
	for _, seconds := range []int32{1, 2, 5, 10, 15, 30} {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), setTimeout, uintptr(unsafe.Pointer(&seconds)))
		if errno == 0 {
			break
		}
	}
	return "the board is restarted by its watchdog " + w.path, nil
}
