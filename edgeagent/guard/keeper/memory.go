package main

import (
	"bytes"
	"strconv"
	"strings"
	"syscall"
)

// mclOnFault is MCL_ONFAULT of linux/mman.h: lock what is used, don't bring in what never was. Without it the Go runtime's
// reservations, 64 MB and more, would become memory.
const mclOnFault = 4

// stayInMemory sees to it that nothing has to be read from a disk at the deadline: neither what was used, now or later,
// nor any of the program's own code.
func stayInMemory() error {
	if _, _, errno := syscall.Syscall(syscall.SYS_MLOCKALL, syscall.MCL_CURRENT|syscall.MCL_FUTURE|mclOnFault, 0, 0); errno != 0 {
		return fail("lock", "memory", errno)
	}
	name := make([]byte, 4096)
	n, err := syscall.Readlink("/proc/self/exe", name)
	if err != nil {
		return fail("read", "/proc/self/exe", err)
	}
	program := append([]byte{' '}, name[:n]...)
	var failed error
	err = eachLine("/proc/self/maps", func(line []byte) {
		if !bytes.HasSuffix(line, program) {
			return
		}
		span, _, _ := bytes.Cut(line, []byte{' '})
		from, to, _ := strings.Cut(string(span), "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil {
			return
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_MLOCK, uintptr(start), uintptr(end-start), 0); errno != 0 {
			failed = fail("lock", "memory", errno)
		}
	})
	if err == nil {
		err = failed
	}
	return err
}
