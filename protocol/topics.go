// Package protocol holds what master and agent agree on; this file names the MQTT topics.
// The packages below it hold the messages, their envelopes, and the transport.
package protocol

import (
	"fmt"
	"strings"
)

// Topics names the topics of one cluster, all below skerry/<cluster>/. The zero value is of no use.
type Topics struct{ prefix string }

// Channels of a node: the last level of skerry/<cluster>/n/<node>/<channel>.
const (
	Hello    = "hello"    // agent to master, QoS 1
	Beat     = "hb"       // agent to master, QoS 0
	Presence = "presence" // agent to master, QoS 1, retained; also the agent's will
	Status   = "status"   // agent to master, QoS 1
	Desired  = "desired"  // master to agent, QoS 1, retained
	Request  = "req"      // master to agent: requests, welcome and stream frames
	Response = "res"      // agent to master: answers and stream frames
)

// NewTopics returns the topic names of a cluster. The name must be one topic level (see CheckLevel).
func NewTopics(cluster string) (Topics, error) {
	if err := CheckLevel(cluster); err != nil {
		return Topics{}, fmt.Errorf("cluster name: %w", err)
	}
	return Topics{prefix: "skerry/" + cluster + "/"}, nil
}

// Leader is where the leader announces itself, retained.
func (t Topics) Leader() string { return t.prefix + "m/leader" }

// Channels of an attempt to join: the last level of skerry/<cluster>/join/<id>/<channel>.
const (
	JoinAsk    = "ask"    // agent to master, QoS 1
	JoinAnswer = "answer" // master to agent, QoS 1
)

// Join is the topic of one of the channels of an attempt to join. The id must be one topic level.
func (t Topics) Join(id, channel string) string { return t.prefix + "join/" + id + "/" + channel }

// AllJoins is the filter that matches one channel of every attempt.
func (t Topics) AllJoins(channel string) string { return t.prefix + "join/+/" + channel }

// ParseJoin splits the topic of an attempt into its id and the channel; ok is false for every other topic.
func (t Topics) ParseJoin(topic string) (id, channel string, ok bool) { return t.parse(topic, "join/") }

// Probe is where a master tests its own connection to the broker.
func (t Topics) Probe(master string) string { return t.prefix + "m/probe/" + master }

// Node is the topic of one of a node's channels.
func (t Topics) Node(node, channel string) string { return t.prefix + "n/" + node + "/" + channel }

// AllNodes is the filter that matches one channel of every node.
func (t Topics) AllNodes(channel string) string { return t.prefix + "n/+/" + channel }

// Parse splits a node's topic into the node and the channel; ok is false for every other topic.
func (t Topics) Parse(topic string) (node, channel string, ok bool) { return t.parse(topic, "n/") }

func (t Topics) parse(topic, level string) (name, channel string, ok bool) {
	rest, found := strings.CutPrefix(topic, t.prefix+level)
	if !found {
		return "", "", false
	}
	name, channel, ok = strings.Cut(rest, "/")
	if !ok || name == "" || channel == "" || strings.Contains(channel, "/") {
		return "", "", false
	}
	return name, channel, true
}

// CheckLevel says why a name can't be one level of a topic: it is a DNS-1123 subdomain of at most 63
// characters, so it is also a file name, a user name of the broker and a Kubernetes object name.
func CheckLevel(name string) error {
	if name == "" || len(name) > 63 {
		return fmt.Errorf("%q must have 1 to 63 characters", name)
	}
	for i, c := range name {
		edge := i == 0 || i == len(name)-1
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (edge || c != '-' && c != '.') {
			return fmt.Errorf("%q must consist of a-z, 0-9, '-' and '.', and begin and end with a letter or digit", name)
		}
	}
	return nil
}
