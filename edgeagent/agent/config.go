package agent

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/skerry-edge/skerry/edgeagent/guard"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/daemon"
)

// Engines.
const (
	EngineContainerd = "containerd"
	EngineFake       = "fake" // runs nothing, says it does: for trying fleets out
)

// Config is what a user decides about an agent.
type Config struct {
	DataDir    string
	Join       string        // a token, or @ and the name of a file that has one
	NodeName   string        // empty: the stored one, else the host's
	Brokers    []mqtt.Broker // instead of those of the token
	Engine     string
	Containerd string // socket
	Namespace  string // of containerd
	Labels     map[string]string
	Guard      string // socket of skerry-guard
	PluginDir  string // of the CNI plugins; empty: pluginDirs
}

// pluginDirs is where distributions have the CNI plugins: by the CNI project's custom, Debian, Fedora.
var pluginDirs = []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"}

// pluginDirs are the directories to search.
func (c *Config) pluginDirs() []string {
	if c.PluginDir != "" {
		return []string{c.PluginDir}
	}
	return pluginDirs
}

// Define declares the agent's settings, which are parsed into c.
func (c *Config) Define(f *daemon.Flags) {
	f.String(&c.DataDir, nil, daemon.Flag{Name: "data-dir", Arg: "DIR", Default: "/var/lib/skerry/agent",
		Usage: "where identity, desired state and logs are kept; archives in DIR/images are imported at the start"})
	f.String(&c.Join, nil, daemon.Flag{Name: "join", Arg: "TOKEN|@FILE",
		Usage: "token that the master printed; needed until the node has joined, ignored afterwards"})
	f.String(&c.NodeName, func(name string) error {
		if name == "" {
			return nil
		}
		return protocol.CheckLevel(name)
	}, daemon.Flag{Name: "node-name", Arg: "NAME", Usage: "name of this node (default: the host name)"})
	f.Add(daemon.Flag{Name: "broker", Arg: "URL[,URL…]", Many: true,
		Usage: "brokers to use instead of those in the token, alternatives in this order; a user and password may stand before the host",
		Set: func(values []string) (err error) {
			c.Brokers, err = mqtt.ParseBrokers(values)
			return err
		}})
	f.String(&c.Engine, func(name string) error {
		if name != EngineContainerd && name != EngineFake {
			return fmt.Errorf("%q is no engine; it is containerd, or fake to try things out", name)
		}
		return nil
	}, daemon.Flag{Name: "engine", Arg: "containerd|fake", Default: EngineContainerd, Usage: "what runs the containers"})
	f.String(&c.Containerd, nil, daemon.Flag{Name: "containerd", Arg: "SOCKET", Default: "/run/containerd/containerd.sock",
		Usage: "where containerd listens"})
	f.String(&c.Namespace, nil, daemon.Flag{Name: "containerd-namespace", Arg: "NS", Default: "skerry",
		Usage: "containerd's namespace for our containers; one agent has it for itself"})
	f.String(&c.Guard, nil, daemon.Flag{Name: "guard", Arg: "SOCKET", Default: guard.Socket,
		Usage: "where skerry-guard listens; pods with skerry.dev/partition-policy: stop run only with it"})
	f.String(&c.PluginDir, nil, daemon.Flag{Name: "cni-bin-dir", Arg: "DIR",
		Usage: "where the CNI plugins bridge, host-local and portmap are (default: " + strings.Join(pluginDirs, " or ") + ")"})
	f.Pairs(&c.Labels, checkLabel, daemon.Flag{Name: "labels", Arg: "KEY=VALUE,…", Usage: "labels of the node"})
}

// Check looks for settings that contradict each other.
func (c *Config) Check(f *daemon.Flags) error {
	if c.Engine == EngineFake && (f.Given("containerd") || f.Given("containerd-namespace")) {
		return fmt.Errorf("--engine fake and --containerd exclude each other: the fake engine talks to no containerd")
	}
	return nil
}

// restrictedDomain is that of labels which are for administrators alone.
const restrictedDomain = "node-restriction.kubernetes.io"

func checkLabel(key, value string) error {
	problems := validation.IsQualifiedName(key)
	if len(problems) == 0 {
		problems = validation.IsValidLabelValue(value)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s=%s is no label: %s", key, value, problems[0])
	}
	if domain, _, _ := strings.Cut(key, "/"); domain == restrictedDomain || strings.HasSuffix(domain, "."+restrictedDomain) {
		return fmt.Errorf("%s: the master takes no label of %s from a node; set it with edgectl label node", key, restrictedDomain)
	}
	return nil
}

// hostName is the name of a node that nobody named.
func hostName() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read the host name: %w; give --node-name", err)
	}
	name := strings.ToLower(host)
	if err := protocol.CheckLevel(name); err != nil {
		return "", daemon.Usage(fmt.Errorf("--node-name: the host name can't be a node's: %w; give another", err))
	}
	return name, nil
}
