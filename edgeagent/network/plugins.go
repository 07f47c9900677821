package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// config is the configuration of one plugin.
type config = map[string]any

// cniVersion is one that the plugins of every supported distribution speak.
const cniVersion = "0.4.0"

// interfaceName is the pod's interface.
const interfaceName = "eth0"

// needed are the plugins that pods' networks are made with.
var needed = []string{"bridge", "host-local", "portmap"}

// plan says how a pod is to be connected.
func (n *Network) plan(pod Pod) *note {
	subnet := pod.Subnet.Masked().String()
	name := n.bridgeName(subnet)
	out := &note{Bridge: name, Network: name}
	out.Chain = append(out.Chain, config{
		"cniVersion": cniVersion, "name": out.Network, "type": "bridge", "bridge": name,
		"isGateway": true, "hairpinMode": true, // a pod may reach itself through its hostPort
		"ipam": config{
			"type": "host-local", "dataDir": n.addresses(),
			"ranges": [][]config{{{"subnet": subnet}}},
			"routes": []config{{"dst": "0.0.0.0/0"}},
		},
	})
	if len(pod.Ports) == 0 {
		return out
	}
	var mappings []config
	for _, p := range pod.Ports {
		m := config{"hostPort": p.Host, "containerPort": p.Container, "protocol": p.Protocol}
		if p.HostIP != "" {
			m["hostIP"] = p.HostIP
		}
		mappings = append(mappings, m)
	}
	out.Chain = append(out.Chain, config{
		"cniVersion": cniVersion, "name": out.Network, "type": "portmap",
		"capabilities": config{"portMappings": true}, "snat": true,
		"runtimeConfig": config{"portMappings": mappings},
	})
	return out
}

// plugins runs CNI plugins as the CNI specification says (sections 2 and 3).
type plugins struct{ dirs []string }

// find is the program of a plugin.
func (p plugins) find(name string) (string, bool) {
	for _, dir := range p.dirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, true
		}
	}
	return "", false
}

// missing says which plugins are not there and what to do.
func (p plugins) missing() error {
	var names []string
	for _, name := range needed {
		if _, found := p.find(name); !found {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("the CNI plugins %s are not in %s; install them (on Debian: apt-get install containernetworking-plugins) or name their directory with --cni-bin-dir",
		strings.Join(names, ", "), strings.Join(p.dirs, " or "))
}

// add runs the chain, and completes the note.
func (p plugins) add(ctx context.Context, lock *os.File, uid, netns string, note *note) error {
	var result json.RawMessage
	for _, c := range note.Chain {
		answer, err := p.run(ctx, lock, "ADD", uid, netns, c, result)
		if err != nil {
			return err
		}
		result = answer
	}
	ip, err := addressOf(result)
	if err != nil {
		return err
	}
	note.Result, note.IP = result, ip
	return nil
}

// addressOf is the address that the plugins have given to a pod, as their answer says.
func addressOf(result json.RawMessage) (string, error) {
	var read struct {
		IPs []struct {
			Address string `json:"address"`
		} `json:"ips"`
	}
	if err := json.Unmarshal(result, &read); err != nil {
		return "", fmt.Errorf("read the answer of the CNI plugins: %w", err)
	}
	if len(read.IPs) == 0 {
		return "", errors.New("the CNI plugins gave the pod no address")
	}
	prefix, err := netip.ParsePrefix(read.IPs[0].Address)
	if err != nil {
		return "", fmt.Errorf("read the answer of the CNI plugins: %w", err)
	}
	return prefix.Addr().String(), nil
}

// remove runs the chain backwards. It may be repeated.
func (p plugins) remove(ctx context.Context, lock *os.File, uid, netns string, note *note) error {
	if pinned, err := isPinned(netns); err != nil {
		return err
	} else if !pinned {
		netns = "" // the interface has gone with it
	}
	for _, c := range slices.Backward(note.Chain) {
		if _, err := p.run(ctx, lock, "DEL", uid, netns, c, note.Result); err != nil {
			return err
		}
	}
	return nil
}

// Limits of what a plugin may say.
const (
	maxAnswer = 64 << 10
	waitDelay = time.Second
)

// run runs one plugin once and returns its answer.
func (p plugins) run(ctx context.Context, lock *os.File, command, uid, netns string, c config, previous json.RawMessage) (json.RawMessage, error) {
	kind, _ := c["type"].(string)
	path, found := p.find(kind)
	if !found {
		return nil, p.missing()
	}
	if len(previous) > 0 {
		with := config{"prevResult": previous}
		for key, value := range c {
			with[key] = value
		}
		c = with
	}
	input, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("CNI plugin %s: %w", kind, err)
	}
	cmd := start(ctx, lock, path)
	cmd.Env = append(cmd.Env, "CNI_COMMAND="+command, "CNI_CONTAINERID="+uid, "CNI_NETNS="+netns,
		"CNI_IFNAME="+interfaceName, "CNI_PATH="+strings.Join(p.dirs, ":"))
	cmd.Stdin = bytes.NewReader(input)
	answer, complaint := bounded{limit: maxAnswer}, bounded{limit: 1 << 10}
	cmd.Stdout, cmd.Stderr = &answer, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("CNI plugin %s: %w", kind, ctx.Err())
		}
		return nil, fmt.Errorf("CNI plugin %s: %s", kind, explain(answer.Bytes(), complaint.String(), err))
	}
	return answer.Bytes(), nil
}

// explain is the plugin's own word on why it failed, in one line.
func explain(answer []byte, complaint string, err error) string {
	var said struct{ Msg, Details string }
	if json.Unmarshal(answer, &said) == nil && said.Msg != "" {
		if said.Details != "" {
			said.Msg += ": " + said.Details
		}
		return strings.Join(strings.Fields(said.Msg), " ")
	}
	if complaint = strings.Join(strings.Fields(complaint), " "); complaint != "" {
		return complaint
	}
	return err.Error()
}

// start prepares a program that lives, with all its children, at most as long as ctx, but not shorter than it would
// without the agent; meanwhile it holds the lock.
func start(ctx context.Context, lock *os.File, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "PATH="+searchPath())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = waitDelay
	if lock != nil {
		cmd.ExtraFiles = []*os.File{lock}
	}
	return cmd
}

// bounded keeps the beginning of what is written.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
