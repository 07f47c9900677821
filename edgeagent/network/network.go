package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
)

// Config says where things lie and what they are called.
type Config struct {
	Dir  string // of pins and notes, on a tmpfs: none of it may survive a reboot
	Name string // tells the bridges of this agent from those of others on the machine
	// PluginDirs are searched for the CNI plugins, in this order.
	PluginDirs []string
}

// Pod is what is to be known of a pod to make its network.
type Pod struct {
	UID    string
	Host   bool         // it uses the host's network; nothing else matters then
	Subnet netip.Prefix // the node's; invalid: the master has not said it yet
	Ports  []Port       // of the host that lead to the pod
}

// Port is a port of the host that leads to one of a pod.
type Port struct {
	HostIP          string // empty: all addresses of the host
	Host, Container int32
	Protocol        string // tcp, udp, sctp
}

// Network makes and removes pods' networks. It may be used by several goroutines.
type Network struct {
	config  Config
	plugins plugins
	turns   turns

	// bridges is held for reading while a pod is attached, for writing while a bridge is removed.
	bridges sync.RWMutex

	beginning sync.Mutex

	opening sync.Mutex
	ready   map[string]bool // bridges whose rules are in place

	mu       sync.Mutex
	lock     *os.File // nil: not ours yet
	conflict error    // of the subnet with the host's own addresses, when last looked at
}

// New prepares the directories.
func New(config Config) (*Network, error) {
	n := &Network{config: config, plugins: plugins{dirs: config.PluginDirs}, ready: map[string]bool{}}
	for _, dir := range []string{n.pins(), n.notes(), n.addresses()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make the directory of pods' networks: %w", err)
		}
	}
	return n, nil
}

func (n *Network) pins() string  { return filepath.Join(n.config.Dir, "netns") }
func (n *Network) notes() string { return filepath.Join(n.config.Dir, "pods") }

// addresses has a directory for each bridge of ours, in which host-local keeps who has which address.
func (n *Network) addresses() string { return filepath.Join(n.config.Dir, "addresses") }

// errNoSubnet is all that a pod waits for on a node that has just joined.
var errNoSubnet = errors.New("this node has not been given a subnet for its pods yet; the master gives one when it knows the node")

// Prepare returns the path of the network namespace for a pod to join (empty: the engine's own) and the pod's
// address (empty: the host's). What is there already is left as it is; what was left half made is made anew.
func (n *Network) Prepare(ctx context.Context, pod Pod) (path, ip string, err error) {
	if pod.Host {
		path, err = Host()
		return path, "", err
	}
	if path, err = n.pinOf(pod.UID); err != nil {
		return "", "", err
	}
	done, err := n.enter(ctx, pod.UID)
	if err != nil {
		return "", "", err
	}
	defer done()
	note, err := n.readNote(pod.UID)
	if err != nil {
		return "", "", err
	}
	pinned, err := isPinned(path)
	if err != nil {
		return "", "", err
	}
	if pinned && note.complete() {
		return path, note.IP, nil
	}
	if note != nil {
		if err := n.undo(ctx, pod.UID, path, note); err != nil {
			return "", "", fmt.Errorf("undo what is left of an earlier try: %w", err)
		}
	}
	if ip, err = n.attach(ctx, pod, path); err != nil {
		return "", "", err
	}
	return path, ip, nil
}

// attach makes the namespace, unless there is one, and has the plugins connect it.
func (n *Network) attach(ctx context.Context, pod Pod, path string) (ip string, err error) {
	if !pod.Subnet.IsValid() {
		return "", errNoSubnet
	}
	if err := n.plugins.missing(); err != nil {
		return "", err
	}
	if len(pod.Ports) > 0 && !hasIPTables() {
		return "", errors.New("hostPort needs the program iptables, which this node lacks; install it (on Debian: apt-get install iptables)")
	}
	n.bridges.RLock()
	defer n.bridges.RUnlock()
	note := n.plan(pod)
	if err := n.checkSubnet(note.Bridge, pod.Subnet); err != nil {
		return "", err
	}
	if err := n.writeNote(pod.UID, note); err != nil {
		return "", err
	}
	if err := n.openBridge(ctx, note.Bridge, pod.Subnet); err != nil {
		return "", err
	}
	if err := pin(path); err != nil {
		return "", err
	}
	if err := n.plugins.add(ctx, n.lock, pod.UID, path, note); err != nil {
		return "", err
	}
	return note.IP, n.writeNote(pod.UID, note)
}

// Release takes the pod's network back: its rules, its address, its interface and its namespace, which ends with
// the last process in it. What is not there is success.
func (n *Network) Release(ctx context.Context, uid string) error {
	path, err := n.pinOf(uid)
	if err != nil {
		return err
	}
	done, err := n.enter(ctx, uid)
	if err != nil {
		return err
	}
	defer done()
	note, err := n.readNote(uid)
	if err != nil {
		return err
	}
	if err := n.undo(ctx, uid, path, note); err != nil {
		return fmt.Errorf("remove the network of pod %s: %w", uid, err)
	}
	if note == nil {
		return nil
	}
	return n.closeBridge(ctx, note.Bridge)
}

// undo removes all that a note tells of, the note last: whoever is interrupted can repeat it.
func (n *Network) undo(ctx context.Context, uid, path string, note *note) error {
	if note != nil {
		if err := n.plugins.remove(ctx, n.lock, uid, path, note); err != nil {
			return err
		}
	}
	if err := unpin(path); err != nil {
		return err
	}
	return n.removeNote(uid)
}

// List returns all pods that have a network or something left of one, with their addresses: all that Release may
// be needed for.
func (n *Network) List(ctx context.Context) (map[string]string, error) {
	if err := n.begin(ctx); err != nil && !errors.Is(err, errBusy) {
		return nil, err
	}
	pods := map[string]string{}
	for _, dir := range []string{n.pins(), n.notes()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("list pods' networks: %w", err)
		}
		for _, e := range entries {
			if uid, ours := noteOf(e.Name()); dir == n.pins() || ours {
				pods[uid] = ""
			}
		}
	}
	for uid := range pods {
		// One that can't be read is told to whoever wants to use it.
		if note, err := n.readNote(uid); err == nil && note.complete() {
			pods[uid] = note.IP
		}
	}
	return pods, nil
}

// Problem is why pods can't have a network of their own on this machine, and what to do about it; nil when
// they can. It does not block.
func (n *Network) Problem() error {
	if err := n.plugins.missing(); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conflict
}

// Limits is what pods' networks can't do on this machine, and what to do about it; empty when they can do all.
func (n *Network) Limits() string { return limits() }

// Examine says beforehand what Problem and Limits would say, as far as programs on the machine are concerned.
func Examine(pluginDirs []string) (limit string, problem error) {
	return limits(), plugins{dirs: pluginDirs}.missing()
}

func limits() string {
	if hasIPTables() {
		return ""
	}
	return "the program iptables is missing: pods reach only their own node, and hostPort does not work; install it (on Debian: apt-get install iptables)"
}
