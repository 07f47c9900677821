package brokerconfig

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
)

// NATS is the configuration of nats-server, 2.9 or newer, whose MQTT needs JetStream. A topic is a subject with
// dots for slashes there, so that no name of the cluster or of a node may have one.
func NATS(c Config) ([]File, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if strings.Contains(c.Cluster, ".") {
		return nil, fmt.Errorf("the cluster's name, %s, has a dot, which NATS takes for a slash; use mosquitto, or another name", c.Cluster)
	}
	topics, err := protocol.NewTopics(c.Cluster)
	if err != nil {
		return nil, err
	}
	var users bytes.Buffer
	for _, a := range c.sorted() {
		if strings.Contains(a.Name, ".") {
			return nil, fmt.Errorf("the node's name %s has a dot, which NATS takes for a slash; use mosquitto, or give the node another name", a.Name)
		}
		hash, err := bcrypt.GenerateFromPassword([]byte(a.Password), bcrypt.MinCost) // random: rounds protect nothing
		if err != nil {
			return nil, fmt.Errorf("hash a password: %w", err)
		}
		publish, subscribe := natsRules(a, topics, c.Cluster)
		fmt.Fprintf(&users, "    {user: %q, password: %q, permissions: {\n      publish: {allow: [%s]},\n      subscribe: {allow: [%s]}}}\n",
			a.Name, hash, subjects(publish), subjects(append(subscribe, delivery)))
	}
	in := func(name string) string { return path.Join(c.Dir, name) }
	conf := fmt.Appendf(nil, `# The broker of the Skerry cluster %q. Written by edgectl broker config nats.
server_name: skerry
listen: 127.0.0.1:4222
max_payload: %d
jetstream {store_dir: %q}
mqtt {
  port: %d
  tls {cert_file: %q, key_file: %q}
  # nats-server's own defaults, written out: without them a reload of 2.9 sets them to nothing, and no message of
  # QoS 1 arrives any more.
  ack_wait: "30s"
  max_ack_pending: 1024
}
authorization {
  users: [
%s  ]
}
`, c.Cluster, natsPayload, in("jetstream"), c.Port, in(certificateFile), in(keyFile), users.Bytes())
	return append([]File{{Name: "nats.conf", Data: conf, Secret: true}}, c.certificates()...), nil
}

// natsPayload leaves room for the headers that NATS puts before a message of MQTT.
const natsPayload = bus.MaxPayload + 64<<10

// natsRules are the topics of an account, as MQTT has them.
func natsRules(a Account, topics protocol.Topics, cluster string) (publish, subscribe []string) {
	switch a.Role {
	case Master:
		all := []string{"skerry/" + cluster + "/#"}
		return all, all
	case Join:
		return []string{topics.AllJoins(protocol.JoinAsk)}, []string{topics.AllJoins(protocol.JoinAnswer)}
	}
	for _, channel := range written {
		publish = append(publish, topics.Node(a.Name, channel))
	}
	for _, channel := range read {
		subscribe = append(subscribe, topics.Node(a.Name, channel))
	}
	return publish, append(subscribe, topics.Leader())
}

// delivery is where NATS puts the messages of QoS 1 for each subscription, under a random name. It lets no client
// of MQTT subscribe there.
const delivery = "$MQTT/sub/#"

// subjects writes topics as NATS has them.
func subjects(filters []string) string {
	quoted := make([]string, len(filters))
	for i, f := range filters {
		quoted[i] = fmt.Sprintf("%q", strings.NewReplacer("/", ".", "+", "*", "#", ">").Replace(f))
	}
	return strings.Join(quoted, ", ")
}
