package network

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func newNetwork(t *testing.T) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	n, err := New(Config{Dir: filepath.Join(t.TempDir(), "netns")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pods, err := n.List(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, pod := range pods {
			if err := n.Release(context.Background(), pod); err != nil {
				t.Error(err)
			}
		}
	})
	return n
}

// inside runs do in a network namespace.
func inside(t *testing.T, path string, do func() error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := inNewNamespace(func(string) error {
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return do()
	}); err != nil {
		t.Error(err)
	}
}

func acquire(t *testing.T, n *Network, pod string) string {
	t.Helper()
	path, ip, err := n.Prepare(context.Background(), pod, false)
	if err != nil || ip != "" {
		t.Fatal(path, ip, err)
	}
	return path
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		t.Fatal(err)
	}
	return s.Ino
}

// A pod has a namespace of its own in which loopback works and nothing else is.
func TestAPodsNamespace(t *testing.T) {
	n := newNetwork(t)
	path := acquire(t, n, "pod-a")
	inside(t, path, func() error {
		interfaces, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, i := range interfaces {
			if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
				return errors.New(i.Name + " is up in it")
			}
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		return c.Close()
	})
	own := inode(t, "/proc/self/ns/net")
	if inode(t, path) == own {
		t.Error("the pod is in the agent's namespace")
	}
	if other := acquire(t, n, "pod-b"); inode(t, other) == inode(t, path) {
		t.Error("two pods share a namespace")
	}
}

// Prepare is repeatable, by another agent too, and Release as well.
func TestPinsOutliveTheAgent(t *testing.T) {
	n := newNetwork(t)
	first := inode(t, acquire(t, n, "pod"))
	again, err := New(Config{Dir: n.dir})
	if err != nil {
		t.Fatal(err)
	}
	if inode(t, acquire(t, again, "pod")) != first {
		t.Error("a restarted agent made another namespace")
	}
	if pods, err := again.List(context.Background()); err != nil || !slices.Equal(pods, []string{"pod"}) {
		t.Errorf("List = %v, %v", pods, err)
	}
	for range 2 {
		if err := again.Release(context.Background(), "pod"); err != nil {
			t.Error(err)
		}
	}
	if pods, err := n.List(context.Background()); err != nil || len(pods) != 0 {
		t.Errorf("List = %v, %v", pods, err)
	}
}

// The file that a crash or reboot left is no namespace, and does no harm.
func TestWhatACrashLeft(t *testing.T) {
	n := newNetwork(t)
	for _, pod := range []string{"used", "unused"} {
		if err := os.WriteFile(filepath.Join(n.dir, pod), nil, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	path := acquire(t, n, "used")
	if pinned, err := isPinned(path); err != nil || !pinned {
		t.Errorf("no namespace is pinned: %v", err)
	}
	if err := n.Release(context.Background(), "unused"); err != nil {
		t.Error(err)
	}
	if pods, err := n.List(context.Background()); err != nil || !slices.Equal(pods, []string{"used"}) {
		t.Errorf("List = %v, %v", pods, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	n := newNetwork(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for range 8 {
		group.Go(func() {
			path, err := n.pin("pod")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[path] = true
		})
	}
	group.Wait()
	if len(seen) != 1 {
		t.Errorf("paths %v", seen)
	}
}

func TestPodUIDsAreFileNames(t *testing.T) {
	n := newNetwork(t)
	for _, pod := range []string{"", ".", "..", "a/b", "../x"} {
		if _, err := n.pin(pod); err == nil {
			t.Errorf("Prepare(%q) succeeded", pod)
		}
		if err := n.Release(context.Background(), pod); err == nil {
			t.Errorf("Release(%q) succeeded", pod)
		}
	}
}

// Whatever pods got, the host's network is the one that the agent was started in.
func TestHostNetwork(t *testing.T) {
	n := newNetwork(t)
	path, _, err := n.Prepare(context.Background(), "pod", true)
	if err != nil {
		t.Fatal(err)
	}
	if pods, err := n.List(context.Background()); err != nil || len(pods) != 0 {
		t.Errorf("List = %v, %v", pods, err)
	}
	before := inode(t, "/proc/self/ns/net")
	for range 20 {
		acquire(t, n, "pod")
		if err := n.Release(context.Background(), "pod"); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := Host(); err != nil || again != path || inode(t, "/proc/self/ns/net") != before {
		t.Errorf("Host = %q, %v; was %q", again, err, path)
	}
	if path != "" && inode(t, path) != before {
		t.Errorf("%s is not the agent's namespace", path)
	}
}
