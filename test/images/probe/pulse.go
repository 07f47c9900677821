package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"
)

// pulse writes when it lives, from its first moment to its last, for test/pulse to read. SIGTERM ends it at once.
func pulse(dir, uid string, term <-chan os.Signal) error {
	const every = 20 * time.Millisecond
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%s@%d", uid, bootTime())), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	for {
		if _, err := fmt.Fprintln(f, bootTime()); err != nil {
			return err
		}
		sleep(every, term)
	}
}

// bootTime is CLOCK_BOOTTIME in nanoseconds, which all processes of a machine share.
func bootTime() int64 {
	const clockBoottime = 7 // of linux/time.h
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		panic("read CLOCK_BOOTTIME: " + errno.Error()) // Linux has it since 2.6.39
	}
	return now.Nano()
}
