package brokerconfig

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"path"

	"github.com/skerry-edge/skerry/protocol"
	"github.com/skerry-edge/skerry/protocol/bus"
)

// Mosquitto is the configuration of mosquitto 2: skerry.conf, to be included (Debian's mosquitto includes what is
// in /etc/mosquitto/conf.d), with passwords, rules and certificate beside it.
func Mosquitto(c Config) ([]File, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	topics, err := protocol.NewTopics(c.Cluster)
	if err != nil {
		return nil, err
	}
	in := func(name string) string { return path.Join(c.Dir, name) }
	conf := fmt.Appendf(nil, `# The broker of the Skerry cluster %q. Written by edgectl broker config mosquitto.
listener %d
allow_anonymous false
password_file %s
acl_file %s
certfile %s
keyfile %s
tls_version tlsv1.2
# A desired state is half a megabyte at most; what a slow node has not read is bounded.
max_packet_size %d
max_inflight_messages 20
max_queued_messages 1000
max_queued_bytes 8388608
`, c.Cluster, c.Port, in("passwords"), in("acl"), in(certificateFile), in(keyFile), bus.MaxPayload+1<<10)

	var passwords, acl bytes.Buffer
	fmt.Fprintf(&acl, "# What every node may do; %%u is its name.\n")
	for _, channel := range written {
		fmt.Fprintf(&acl, "pattern write %s\n", topics.Node("%u", channel))
	}
	for _, channel := range read {
		fmt.Fprintf(&acl, "pattern read %s\n", topics.Node("%u", channel))
	}
	for _, a := range c.sorted() {
		hash, err := mosquittoHash(a.Password, c.Random)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&passwords, "%s:%s\n", a.Name, hash)
		switch a.Role {
		case Master:
			fmt.Fprintf(&acl, "\nuser %s\ntopic readwrite skerry/%s/#\n", a.Name, c.Cluster)
		case Join:
			fmt.Fprintf(&acl, "\nuser %s\ntopic write %s\ntopic read %s\n",
				a.Name, topics.AllJoins(protocol.JoinAsk), topics.AllJoins(protocol.JoinAnswer))
		case Node:
			fmt.Fprintf(&acl, "\nuser %s\ntopic read %s\n", a.Name, topics.Leader())
		}
	}
	files := []File{
		{Name: "skerry.conf", Data: conf},
		{Name: "passwords", Data: passwords.Bytes(), Secret: true},
		{Name: "acl", Data: acl.Bytes(), Secret: true},
	}
	return append(files, c.certificates()...), nil
}

// mosquittoHash is a password as mosquitto_passwd of version 2 writes it: PBKDF2 with SHA-512. The passwords are
// random, so that more rounds would protect nothing and cost each connection.
func mosquittoHash(password string, random io.Reader) (string, error) {
	const rounds = 101
	var salt [12]byte
	if _, err := io.ReadFull(random, salt[:]); err != nil {
		return "", fmt.Errorf("read random bytes for a salt: %w", err)
	}
	hash, err := pbkdf2.Key(sha512.New, password, salt[:], rounds, sha512.Size)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("$7$%d$%s$%s", rounds, encode(salt[:]), encode(hash)), nil
}
