package daemon

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// keepMemorySecret sees to it that keys and Secrets in this process's memory are written to no core file, and read by
// no process of the same user without privileges.
func keepMemorySecret() error {
	return errors.Join(
		os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})),
		os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)),
	)
}
