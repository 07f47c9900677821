package network

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout is long for a loopback interface.
const dialTimeout = 10 * time.Second

// Dial connects to a TCP port of the loopback interface in the network namespace of a process, by IPv4 or else by
// IPv6.
func Dial(ctx context.Context, pid int, port uint16) (net.Conn, error) {
	var conn net.Conn
	err := inNamespaceOf(pid, func() error {
		var first error // that IPv6 doesn't answer either says nothing more
		for _, address := range []string{"127.0.0.1", "::1"} {
			// An address, not a name: it is dialed in this goroutine, and so on this thread.
			c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
			if err == nil {
				conn = c
				return nil
			}
			if first == nil {
				first = err
			}
		}
		return first
	})
	return conn, err
}

// inNamespaceOf runs do on a thread in a process's network namespace. The thread is not given back: it ends with
// the goroutine, for it belongs to the wrong namespace.
func inNamespaceOf(pid int, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread can't end. It waits while another does it.
			defer runtime.UnlockOSThread()
			done <- inNamespaceOf(pid, do)
			return
		}
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err != nil {
			runtime.UnlockOSThread() // nothing was changed
			done <- fmt.Errorf("enter the pod's network: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}
