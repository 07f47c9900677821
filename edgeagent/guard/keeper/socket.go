package main

import (
	"errors"
	"path"
	"strconv"
	"syscall"
)

const (
	maxSocketPath = 107 // sockaddr_un(7)
	firstPassed   = 3   // sd_listen_fds(3)
	backlog       = 16
)

// listen takes the socket that systemd passes, or makes one.
func listen(path string) (fd int, activated bool, err error) {
	pid, n := getenv("LISTEN_PID"), getenv("LISTEN_FDS")
	if pid == "" || pid != strconv.Itoa(syscall.Getpid()) || n == "" || n == "0" {
		fd, err = makeSocket(path)
		return fd, false, err
	}
	if n != "1" {
		return -1, false, errors.New("LISTEN_FDS is " + n + ": expected one socket from systemd")
	}
	listening, err := syscall.GetsockoptInt(firstPassed, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil || listening == 0 {
		return -1, false, errors.New("what systemd passed is no listening socket (ListenStream= with Accept=no)")
	}
	syscall.CloseOnExec(firstPassed)
	return firstPassed, true, syscall.SetNonblock(firstPassed, true)
}

// makeSocket listens at the path, for root or the guard's own user alone.
func makeSocket(name string) (int, error) {
	if err := makeDir(path.Dir(name), 0o755); err != nil {
		return -1, err
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fail("make", "socket", err)
	}
	address := &syscall.SockaddrUnix{Name: name}
	if err := syscall.Connect(fd, address); err == nil {
		return -1, errors.New("another process listens at " + name + " (skerry-guard.socket? or name another --socket)")
	}
	if err := syscall.Unlink(name); err != nil && err != syscall.ENOENT {
		return -1, fail("remove", name, err)
	}
	before := syscall.Umask(0o177)
	err = syscall.Bind(fd, address)
	syscall.Umask(before)
	if err != nil {
		return -1, fail("listen at", name, err)
	}
	return fd, fail("listen at", name, syscall.Listen(fd, backlog))
}

// mayAsk reports whether a connection is root's or the guard's own user's.
func mayAsk(fd int) bool {
	peer, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	return err == nil && (peer.Uid == 0 || int(peer.Uid) == syscall.Geteuid())
}

// tellSystemd says that the guard is ready (sd_notify(3)), if systemd wants to know.
func tellSystemd(state string) error {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail("make", "socket", err)
	}
	defer syscall.Close(fd)
	// The package knows that a leading @ means an abstract name.
	return fail("write to", path, syscall.Sendto(fd, []byte(state), syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, &syscall.SockaddrUnix{Name: path}))
}

func getenv(name string) string {
	value, _ := syscall.Getenv(name)
	return value
}
