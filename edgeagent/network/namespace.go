package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is the path of the network namespace that pods on the host's network join: the agent's own. It is
// empty when that is the one of the machine's first process too, which the engine takes by itself.
func Host() (string, error) {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "", fmt.Errorf("find the agent's network namespace: %w", err)
	}
	// Not everyone may look at process 1. The path is right in any case.
	if first, err := os.Readlink("/proc/1/ns/net"); err == nil && own == first {
		return "", nil
	}
	return fmt.Sprintf("/proc/%d/ns/net", os.Getpid()), nil
}

// pinOf is the pin of a pod, whose uid must be a plain file name.
func (n *Network) pinOf(uid string) (string, error) {
	if uid == "" || uid[0] == '.' || strings.ContainsAny(uid, "/\x00") {
		return "", fmt.Errorf("network namespace: %q can't be a pod's uid", uid)
	}
	return filepath.Join(n.pins(), uid), nil
}

// pin makes a network namespace and pins it, unless there is one. A pin is a mount of the kernel's nsfs; a file
// without one is what a crash left, and is used or removed like any other.
func pin(path string) error {
	pinned, err := isPinned(path)
	if err != nil || pinned {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("make network namespace: %w", err)
	}
	f.Close()
	if err := inNewNamespace(func(self string) error {
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("bring up loopback: %w", err)
		}
		return unix.Mount(self, path, "", unix.MS_BIND, "")
	}); err != nil {
		return errors.Join(fmt.Errorf("make network namespace: %w", err), os.Remove(path))
	}
	return nil
}

func unpin(path string) error {
	// More than once, should two agents have pinned on top of each other.
	for {
		pinned, err := isPinned(path)
		if err != nil {
			return err
		}
		if !pinned {
			break
		}
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("remove network namespace: %w", err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove network namespace: %w", err)
	}
	return nil
}

// isPinned says whether a namespace is mounted there.
func isPinned(path string) (bool, error) {
	var s unix.Statfs_t
	err := unix.Statfs(path, &s)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", path, err)
	}
	return s.Type == unix.NSFS_MAGIC, nil
}

// inNewNamespace runs do on a thread in a new network namespace; self is that namespace's file. The thread
// is not given back: it ends with the goroutine, for it belongs to the wrong namespace now.
func inNewNamespace(do func(self string) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread stands for the process in /proc and can't end. It waits while another does it.
			defer runtime.UnlockOSThread()
			done <- inNewNamespace(do)
			return
		}
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread() // nothing was changed
			done <- err
			return
		}
		done <- do(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	}()
	return <-done
}

// loopbackUp brings up lo in this thread's network namespace.
func loopbackUp() error {
	return withInterface("lo", func(fd int, request *unix.Ifreq) error {
		request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
	})
}

// withInterface runs do with a socket of this thread's network namespace.
func withInterface(name string, do func(fd int, request *unix.Ifreq) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	return do(fd, request)
}
