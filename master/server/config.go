package server

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/skerry-edge/skerry/master/controller/subnet"
	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus/mqtt"
	"github.com/skerry-edge/skerry/protocol/daemon"
	"github.com/skerry-edge/skerry/protocol/message"
)

// Config is what a user decides about a master.
type Config struct {
	DataDir    string
	Cluster    string
	APIListen  string
	MQTTListen string        // of the embedded broker; empty with Brokers
	Brokers    []mqtt.Broker // instead of the embedded one,
	BrokerCA   string        // with a certificate of caSystem or caCluster
	// Advertise are the names and addresses under which others reach this master, best first; empty: those that
	// the machine has.
	Advertise []string
	// AuditLog is the file that says who did what; a name without a slash is in the data directory, empty: there is none.
	AuditLog string
	// RecoveryKey is a file with the recovery key; empty: a new cluster makes one.
	RecoveryKey string
	// JoinMasters is a join token for masters, or @ and the file with it; empty: none.
	JoinMasters string
	// PodCIDR is what nodes get the subnets of their pods from.
	PodCIDR netip.Prefix

	// Heartbeat, NodeTimeout and SuspectTimeout hold for nodes whose link is not metered.
	Heartbeat, NodeTimeout, SuspectTimeout time.Duration
	// MassFailureWait is how long evictions are paused when too many nodes are silent at once; 0: they never are.
	MassFailureWait time.Duration

	// Etcd is where the state is kept besides the data directory; without endpoints: nowhere.
	Etcd EtcdConfig
}

// settings is what nodes are told.
func (c Config) settings() message.Settings {
	return message.Settings{
		HeartbeatMillis: uint32(c.Heartbeat.Milliseconds()),
		TimeoutMillis:   uint32(c.NodeTimeout.Milliseconds()),
	}
}

// maxBackoff is the longest pause between two attempts to reach the broker.
func maxBackoff(timeout time.Duration) time.Duration { return min(mqtt.MaxBackoff, timeout/2) }

// Define declares the master's settings, which are parsed into c.
func (c *Config) Define(f *daemon.Flags) {
	f.String(&c.DataDir, nil, daemon.Flag{Name: "data-dir", Arg: "DIR", Default: "/var/lib/skerry/master",
		Usage: "where the cluster's state and keys are kept"})
	f.String(&c.APIListen, checkRequiredAddress, daemon.Flag{Name: "api-listen", Arg: "ADDR", Default: ":6443",
		Usage: "address of the Kubernetes API, HTTPS"})
	f.String(&c.MQTTListen, daemon.CheckAddress, daemon.Flag{Name: "mqtt-listen", Arg: "ADDR", Default: ":8883",
		Usage: "address of the embedded MQTT broker, TLS; not with --broker"})
	broker := daemon.Flag{Name: "broker", Arg: "URL", Many: true,
		Usage: "use this broker instead of the embedded one: mqtts:// or wss://, or without encryption tcp:// or ws://; a user and password may stand before the host; several: members of one clustered broker, of which one after the other is tried",
		Set: func(values []string) (err error) {
			c.Brokers, err = mqtt.ParseBrokers(values)
			if err == nil && len(c.Brokers) > maxTokenBrokers {
				err = fmt.Errorf("%d are too many; give at most %d members of a clustered broker", len(c.Brokers), maxTokenBrokers)
			}
			return err
		}}
	f.Add(broker)
	f.String(&c.BrokerCA, checkBrokerCA, daemon.Flag{Name: "broker-ca", Arg: "system|cluster", Default: caSystem,
		Usage: "who has signed the certificate of --broker: an authority that the system knows, or the cluster's own (see edgectl broker config)"})
	f.List(&c.Advertise, checkAdvertised, daemon.Flag{Name: "advertise", Arg: "ADDR[,ADDR…]",
		Usage: "names and addresses under which nodes and users reach this master, best first: they are put into certificates and join tokens (default: the machine's addresses)"})
	f.String(&c.Cluster, protocol.CheckLevel, daemon.Flag{Name: "cluster-name", Arg: "NAME", Default: "default",
		Usage: "name of the cluster, part of every MQTT topic"})
	var podCIDR string
	f.String(&podCIDR, func(text string) (err error) {
		c.PodCIDR, err = parsePodCIDR(text)
		return err
	}, daemon.Flag{Name: "pod-cidr", Arg: "CIDR", Default: subnet.DefaultRange,
		Usage: "addresses of pods: each node gets a /24 of it; none of them may be in use elsewhere in the nodes' networks"})
	f.String(&c.AuditLog, nil, daemon.Flag{Name: "audit-log", Arg: "FILE", Default: "audit.log",
		Usage: `file that says who did what through the API, at most 25 MB with the older ones beside it; a name without a slash is in --data-dir; "" turns it off`})
	c.Etcd.define(f)
	f.String(&c.RecoveryKey, nil, daemon.Flag{Name: "recovery-key", Arg: "FILE",
		Usage: "file with the recovery key that a new cluster shall have (edgectl recovery-key generate makes one); only its public half is kept, so the file is not needed afterwards (default: a new cluster makes one, and shows it once, unless that were in the journal); on a machine without its data directory, with --etcd: the recovery key, which opens the cluster's keys there"})
	f.String(&c.JoinMasters, nil, daemon.Flag{Name: "join-masters", Arg: "TOKEN|@FILE",
		Usage: "join the cluster's other masters with a token that edgectl token create --for-master has made; with the same --etcd as theirs; not needed any more once the data directory has the cluster's keys"})
	f.Duration(&c.Heartbeat, 500*time.Millisecond, daemon.Flag{Name: "heartbeat-interval", Arg: "DURATION", Default: "10s",
		Usage: "how often a node says that it lives"})
	f.Duration(&c.NodeTimeout, time.Second, daemon.Flag{Name: "node-timeout", Arg: "DURATION", Default: "30s",
		Usage: "how long a node may be silent before its pods are replaced"})
	f.Duration(&c.SuspectTimeout, time.Second, daemon.Flag{Name: "suspect-timeout", Arg: "DURATION", Default: "15s",
		Usage: "the same after the broker has reported the end of the node's connection; at least 1.5 heartbeat intervals"})
	f.Duration(&c.MassFailureWait, 0, daemon.Flag{Name: "mass-failure-wait", Arg: "DURATION", Default: "5m",
		Usage: "how long the pods of lost nodes stay when more than half of the nodes (or both of two) are silent at once; then one node is evicted each heartbeat interval; 0s: they don't stay"})
}

// Check looks for settings that contradict each other.
func (c *Config) Check(f *daemon.Flags) error {
	switch external := len(c.Brokers) > 0; {
	case !external && f.Given("broker-ca") && c.BrokerCA != caSystem:
		return fmt.Errorf("--broker-ca is about the certificate of --broker, which is not given; leave it out")
	case external && f.Given("mqtt-listen") && c.MQTTListen != "":
		return fmt.Errorf("--broker and --mqtt-listen exclude each other: the first names a broker of your own, the second is for the embedded one")
	case external:
		c.MQTTListen = ""
	case c.MQTTListen == "":
		return fmt.Errorf(`--mqtt-listen "" turns the embedded broker off, so --broker must name another`)
	}
	if err := c.Etcd.check(); err != nil {
		return err
	}
	switch {
	case c.JoinMasters != "" && !c.Etcd.used():
		return fmt.Errorf("--join-masters needs --etcd, the one that the other masters have: two masters without a store that they share would be two clusters")
	case c.JoinMasters != "" && c.RecoveryKey != "":
		return fmt.Errorf("--join-masters and --recovery-key are two ways to the cluster's keys; give one of them")
	}
	for _, name := range c.Advertise {
		if address, err := netip.ParseAddr(name); err == nil && c.PodCIDR.Contains(address) {
			return fmt.Errorf("--pod-cidr %s contains %s, which --advertise says is this master's; choose other addresses for pods", c.PodCIDR, address)
		}
	}
	if c.NodeTimeout < 2*c.Heartbeat {
		return fmt.Errorf("--node-timeout %s is less than two of --heartbeat-interval %s: one lost message would count as a lost node; make it at least %s",
			c.NodeTimeout, c.Heartbeat, 2*c.Heartbeat)
	}
	if least := c.Heartbeat * 3 / 2; c.SuspectTimeout < least {
		if f.Given("suspect-timeout") {
			return fmt.Errorf("--suspect-timeout %s is less than 1.5 of --heartbeat-interval %s; make it at least %s", c.SuspectTimeout, c.Heartbeat, least)
		}
		c.SuspectTimeout = least
	}
	return nil
}

// parsePodCIDR reads the range of pods' addresses.
func parsePodCIDR(text string) (netip.Prefix, error) {
	cidr, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is no range of addresses; write it as 10.32.0.0/11", text)
	case !cidr.Addr().Is4():
		return netip.Prefix{}, fmt.Errorf("%s is not IPv4, which pods' addresses are", text)
	case cidr.Bits() > subnet.Bits:
		return netip.Prefix{}, fmt.Errorf("%s is too small: each node gets a /%d of it", text, subnet.Bits)
	case cidr.Bits() < 8:
		return netip.Prefix{}, fmt.Errorf("%s is too big; at most a /8", text)
	case cidr != cidr.Masked():
		return netip.Prefix{}, fmt.Errorf("%s does not begin where its length says; write %s", text, cidr.Masked())
	case !cidr.Addr().IsPrivate() && !sharedAddresses.Overlaps(cidr):
		return netip.Prefix{}, fmt.Errorf("%s is not of private addresses; choose from 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10", text)
	}
	return cidr, nil
}

// sharedAddresses are for networks behind a provider's address translation (RFC 6598).
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

func checkRequiredAddress(text string) error {
	if text == "" {
		return fmt.Errorf("it can't be empty; write HOST:PORT, :PORT or [IPV6]:PORT")
	}
	return daemon.CheckAddress(text)
}
