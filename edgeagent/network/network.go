package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Config says where the pins lie.
type Config struct {
	Dir string // of the pins, best on a tmpfs: they don't survive a reboot
}

// Network makes and removes pods' network namespaces. It may be used by several goroutines.
type Network struct {
	dir string
	mu  sync.Mutex
}

// New prepares the directory of the pins.
func New(config Config) (*Network, error) {
	if err := os.MkdirAll(config.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of network namespaces: %w", err)
	}
	return &Network{dir: config.Dir}, nil
}

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

// Prepare returns the path of the network namespace for a pod to join, and makes it if there is none. With
// host it is the host's. The pod has no address of its own yet.
func (n *Network) Prepare(_ context.Context, pod string, host bool) (path, ip string, err error) {
	if host {
		path, err = Host()
	} else {
		path, err = n.pin(pod)
	}
	return path, "", err
}

func (n *Network) pin(pod string) (string, error) {
	path, err := n.path(pod)
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	pinned, err := isPinned(path)
	if err != nil || pinned {
		return path, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return "", fmt.Errorf("make network namespace: %w", err)
	}
	f.Close()
	if err := inNewNamespace(func(self string) error {
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("bring up loopback: %w", err)
		}
		return unix.Mount(self, path, "", unix.MS_BIND, "")
	}); err != nil {
		return "", errors.Join(fmt.Errorf("make network namespace of pod %s: %w", pod, err), os.Remove(path))
	}
	return path, nil
}

// Release removes the pin; the namespace ends with the last process in it. What is not there is success.
func (n *Network) Release(_ context.Context, pod string) error {
	path, err := n.path(pod)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
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
			return fmt.Errorf("remove network namespace of pod %s: %w", pod, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove network namespace of pod %s: %w", pod, err)
	}
	return nil
}

// List returns the pods that have a pin, or a file where one was: all that Release may be needed for.
func (n *Network) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	pods := make([]string, 0, len(entries))
	for _, e := range entries {
		pods = append(pods, e.Name())
	}
	return pods, nil
}

// path is the pin of a pod, whose uid must be a plain file name.
func (n *Network) path(pod string) (string, error) {
	if pod == "" || pod == "." || pod == ".." || strings.ContainsAny(pod, "/\x00") {
		return "", fmt.Errorf("network namespace: %q can't be a pod's uid", pod)
	}
	return filepath.Join(n.dir, pod), nil
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
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
